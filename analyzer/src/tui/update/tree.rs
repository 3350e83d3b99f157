//! The call tree: opening and closing rows.

use crate::tui::keys::Command;
use crate::tui::model::{Mode, Model, Outline, View};

use super::lists;

pub(super) fn run(model: &mut Model, command: Command) {
    use Command as C;
    if command == C::Callers {
        let under = model.table.shown.get(model.table.list.cursor).map(|row| row.symbol);
        model.function = under.or(model.function);
        model.tree.outline.mode = Mode::Butterfly;
        return lists::show(model, View::Tree);
    }
    let Some((tree, _)) = &model.tree.tree else { return };
    let at = model.tree.list.cursor;
    let outline = &mut model.tree.outline;
    match command {
        C::Unfold => {
            // Where it is open already, on into it.
            let into = !outline.open(tree, at)
                && outline.rows.get(at).is_some_and(|row| row.open && row.opens);
            model.tree.list.cursor += usize::from(into);
        }
        C::Fold => model.tree.list.cursor = outline.close(at),
        C::UnfoldAll => model.tree.list.cursor = outline.open_heaviest(tree, at),
        C::FoldAll => {
            let under = outline.rows.get(at).map(|row| row.symbol);
            *outline = Outline::new(tree, outline.mode, model.function);
            if outline.mode == Mode::TopDown {
                outline.rows.retain(|row| row.depth == 0);
                outline.rows.iter_mut().for_each(|row| row.open = false);
            }
            let same = outline.rows.iter().position(|row| Some(row.symbol) == under);
            model.tree.list.cursor = same.unwrap_or(0);
        }
        C::TreeMode => {
            let under = outline.rows.get(at).map(|row| row.symbol);
            model.function = under.or(model.function);
            outline.mode = match outline.mode {
                Mode::TopDown => Mode::BottomUp,
                Mode::BottomUp => Mode::Butterfly,
                Mode::Butterfly => Mode::TopDown,
            };
            outlined(model);
        }
        _ => {}
    }
    lists::keep(model);
}

/// Makes the rows anew from the tree.
pub(super) fn outlined(model: &mut Model) {
    let Some((tree, _)) = &model.tree.tree else { return };
    model.tree.outline = Outline::new(tree, model.tree.outline.mode, model.function);
    to_function(model);
    if model.view == View::Tree {
        lists::keep(model);
    }
}

/// The cursor goes to the function that all views share; a butterfly is made around it.
pub(super) fn to_function(model: &mut Model) {
    let Some((tree, _)) = &model.tree.tree else { return };
    let outline = &mut model.tree.outline;
    if outline.mode == Mode::Butterfly {
        let middle = outline.middle().and_then(|at| outline.rows.get(at)).map(|row| row.symbol);
        if middle != model.function {
            *outline = Outline::new(tree, Mode::Butterfly, model.function);
        }
    }
    let same = |row: &crate::tui::model::Row| Some(row.symbol) == model.function;
    let at = outline.middle().or_else(|| outline.rows.iter().position(same));
    model.tree.list.cursor = at.unwrap_or(0);
}
