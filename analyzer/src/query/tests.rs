//! Queries against a naive replay of the same records, and against traces by hand.

mod by_hand;
mod damage;
mod naive;
mod random;
