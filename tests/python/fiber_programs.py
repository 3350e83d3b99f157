"""Programs that switch between greenlets, for `test_fibers.py`; the same under any tracer.

Each prints what it saw, so that a run with rtrace can be compared with one without.
"""

import random
import threading
import weakref

import greenlet


def leaf(n):
    return len(str(n))


def numbers(n):
    for i in range(n):
        yield i


def nested():
    """Greenlets that start greenlets, end, raise into their parents, and are thrown into."""
    seen = []
    main = greenlet.getcurrent()

    def inner(x):
        leaf(x)
        seen.append(main.switch("from inner"))
        for i in numbers(3):
            seen.append(main.switch(i))
        raise KeyError("inner")

    def outer(x):
        leaf(x)
        child = greenlet.greenlet(inner)
        try:
            seen.append(child.switch(x))
            while True:
                seen.append(child.switch("again"))
        except KeyError as error:
            seen.append(repr(error))
        return "outer is over"

    one = greenlet.greenlet(outer)
    result = one.switch(1)
    while not one.dead:
        seen.append(result)
        result = one.switch("on")
    seen.append(result)

    def thrown():
        try:
            main.switch("waits")
        except ValueError as error:
            leaf(error)
            return "caught"

    two = greenlet.greenlet(thrown)
    seen.append(two.switch())
    seen.append(two.throw(ValueError, "thrown"))
    never = greenlet.greenlet(leaf)
    try:
        never.throw(ZeroDivisionError)
    except ZeroDivisionError:
        seen.append("never began")
    seen.append(two.switch("dead greenlets give it back"))

    def forgotten():
        try:
            main.switch()
        finally:
            seen.append("unwound")

    three = greenlet.greenlet(forgotten)
    three.switch()
    ref = weakref.ref(three)
    del three
    seen.append(ref() is None)
    print(seen)


def deep():
    """Stacks that outgrow their first place, and are switched away from in the middle."""
    main = greenlet.getcurrent()
    total = 0

    def down(n):
        if n == 0:
            return main.switch(1) or 0
        if n % 40 == 0:
            main.switch(0)
        return down(n - 1) + leaf(n)

    all_of_them = [greenlet.greenlet(down) for _ in range(6)]
    for round_number in range(12):
        for i, one in enumerate(all_of_them):
            if not one.dead:
                total += one.switch(*(() if round_number else (60 * i,))) or 0
    print(total)


def random_walk(seed=1, steps=400):
    """Many greenlets, each of which calls, returns, raises and hands over at random."""
    dice = random.Random(seed)
    alive = []
    count = [0]

    def work(n):
        count[0] += 1
        if n > 0 and dice.random() < 0.6:
            try:
                work(n - 1)
            except LookupError:
                leaf(n)
        if dice.random() < 0.5:
            hand_over()
        if dice.random() < 0.2:
            raise LookupError(n)

    def hand_over():
        ready = [one for one in alive if one is not greenlet.getcurrent() and not one.dead]
        if ready:
            dice.choice(ready).switch()

    def life():
        try:
            for _ in range(dice.randrange(6)):
                try:
                    work(dice.randrange(8))
                except LookupError:
                    pass
        except greenlet.GreenletExit:
            leaf(0)

    main = greenlet.getcurrent()
    for _ in range(steps):
        alive[:] = [one for one in alive if not one.dead]
        if len(alive) < 20 and dice.random() < 0.6:
            alive.append(greenlet.greenlet(life))
        alive.append(main)
        work(2) if dice.random() < 0.2 and alive == [main] else hand_over()
        alive.remove(main)
    for one in alive:
        one.throw()
    print(count[0])


def threads():
    """The same in four threads at once, and the main one waits."""
    done = {}

    def run(seed):
        main = greenlet.getcurrent()

        def work(n):
            for i in numbers(n):
                leaf(i)
                main.switch(i)

        some = [greenlet.greenlet(work) for _ in range(5)]
        for round_number in range(seed + 2):
            for one in some:
                if not one.dead:
                    one.switch(*(() if round_number else (3 * seed + 2,)))
        done[seed] = sum(one.dead for one in some)

    started = [threading.Thread(target=run, args=(i,), name=f"t{i}") for i in range(4)]
    for one in started:
        one.start()
    for one in started:
        one.join()
    print(sorted(done.items()))


PROGRAMS = {"nested": nested, "deep": deep, "random_walk": random_walk, "threads": threads}
