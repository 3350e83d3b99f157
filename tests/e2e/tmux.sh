#!/bin/sh
# Drives the terminal UI in a real tmux: opens a trace, zooms, searches, asks for help, resizes,
# suspends, leaves, and is killed; after each way out the screen must be the shell's again.
#
#     tests/e2e/tmux.sh target/debug/rtrace-view tests/golden/threads.bin
#
# Exit status 77 where there is no tmux.
set -eu
view=$1
trace=$2
command -v tmux >/dev/null || { echo "no tmux"; exit 77; }

work=$(mktemp -d)
tm() { TMUX= tmux -S "$work/socket" -f /dev/null "$@"; }
trap 'tm kill-server 2>/dev/null || true; rm -rf "$work"' EXIT

screen() { tm capture-pane -p -t main; }

# Waits until the screen holds a text (or, with "no", until it does not); never sleeps for luck.
await() {
    wanted=yes
    if [ "$1" = no ]; then wanted=no; shift; fi
    for _ in $(seq 600); do
        if screen | grep -qF -- "$1"; then found=yes; else found=no; fi
        [ "$found" = "$wanted" ] && return 0
        sleep 0.05
    done
    echo "FAILED: waited for $wanted \"$1\"; the screen is:" >&2
    screen >&2
    exit 1
}

keys() { tm send-keys -t main "$@"; }

LANG=C.UTF-8 LC_ALL=C.UTF-8 ENV= tm new-session -d -s main -x 100 -y 30 sh
tm set-option -g escape-time 0
keys "PS1='ready> '" Enter
await 'ready> '

open() { keys "'$view' '$trace'; echo left with \$?" Enter; await '? help'; }

open
await 'MainThread'
keys w w w
keys 0
keys '?'
await 'zoom in about the caret'
keys Escape
await no 'zoom in about the caret'
keys 2
await 'p99'
keys 3
await 'top-down'
keys b
await 'bottom-up'
keys 4
await 'step over'
keys g
await 'event 0 of'
keys j j
await 'event 2 of'
keys '<'
await 'bottom-up'
keys : t h r e a d
await 'only-thread'
keys Escape
keys 1
await no 'bottom-up'
keys / z z z q Enter
await 'no function matches'
tm resize-window -t main -x 39 -y 9
await 'too small'
tm resize-window -t main -x 120 -y 40
await 'MainThread'
keys C-z
await no '? help'
keys 'fg; echo left with $?' Enter
await '? help'
keys q
await 'left with 0'
await no 'MainThread'

keys 'clear' Enter
open
keys C-c
await 'left with 0'

# A signal restores the screen as well, and ends us as it would end any program.
shell=$(tm display-message -p -t main '#{pane_pid}')
for signal in TERM:143 HUP:129; do
    keys 'clear' Enter
    open
    kill -"${signal%:*}" "$(ps -o pid= --ppid "$shell" | head -n 1 | tr -d ' ')"
    await "left with ${signal#*:}"
    await no 'MainThread'
done
keys 'echo typed' Enter
await 'typed'
echo "the terminal UI passed"
