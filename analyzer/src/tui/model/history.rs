//! Where one was, and the way back.

use crate::query::timeline::Grid;
use crate::tui::source::Selected;

use super::{Mark, Model, Search, View};

/// More places than this are not kept.
const MOST: usize = 200;

/// Where one is: what going back brings again.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    view: View,
    grid: Grid,
    caret: i64,
    lane: usize,
    mark: Option<Mark>,
    search: String,
    filter: String,
    only: Option<usize>,
    function: Option<u32>,
    selection: Option<Selected>,
}

impl Place {
    /// Where the model is.
    pub fn of(model: &Model) -> Place {
        Place {
            view: model.view,
            grid: model.camera.grid(),
            caret: model.caret,
            lane: model.lane,
            mark: model.mark,
            search: model.search.text.clone(),
            filter: model.filter.text.clone(),
            only: model.only,
            function: model.function,
            selection: model.selection.clone(),
        }
    }

    /// Brings the model there.
    fn restore(self, model: &mut Model) {
        model.view = self.view;
        model.camera.show(self.grid);
        model.caret = self.caret;
        model.lane = self.lane.min(model.overview.lanes.len().saturating_sub(1));
        model.mark = self.mark;
        if model.search.text != self.search {
            model.search = Search::new(&self.search, &model.overview);
        }
        if model.filter.text != self.filter {
            model.filter = Search::new(&self.filter, &model.overview);
        }
        model.only = self.only;
        model.function = self.function;
        model.selection = self.selection;
    }
}

/// The places before and after the present one.
#[derive(Clone, Debug, Default)]
pub struct History {
    back: Vec<Place>,
    forward: Vec<Place>,
}

impl Model {
    /// Remembers where one is, before going somewhere else.
    pub fn leave(&mut self) {
        let place = Place::of(self);
        self.history.forward.clear();
        if self.history.back.last() != Some(&place) {
            self.history.back.push(place);
        }
        if self.history.back.len() > MOST {
            self.history.back.remove(0);
        }
    }

    /// Goes back to where one was, or forward again; says whether there was such a place.
    pub fn travel(&mut self, forward: bool) -> bool {
        let here = Place::of(self);
        let History { back, forward: ahead } = &mut self.history;
        let (from, to) = if forward { (ahead, back) } else { (back, ahead) };
        // A place that one has not left is no place to go to.
        while from.last() == Some(&here) {
            from.pop();
        }
        let Some(place) = from.pop() else { return false };
        to.push(here);
        place.restore(self);
        true
    }
}
