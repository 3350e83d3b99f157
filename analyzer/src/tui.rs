//! The terminal UI.
//!
//! An Elm loop: [`update`](update::update) changes the [`Model`](model::Model) by a message and
//! says what is to be done, [`view`] paints the model, and only the loop in [`run`] acts: it
//! reads, asks the workers, draws. Nothing that is slow happens on its thread.

mod camera;
mod caps;
mod keys;
mod layout;
mod model;
mod msg;
mod source;
mod text;
mod theme;
mod traced;
mod units;
mod update;
mod view;
mod worker;

mod run;
mod terminal;

#[cfg(test)]
mod invented;
#[cfg(test)]
mod tests;

pub use run::run;
pub use traced::Traced;
