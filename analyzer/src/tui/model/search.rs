//! What is searched for.

use std::collections::HashSet;
use std::sync::Arc;

use regex::Regex;

use crate::tui::source::{Label, Overview};

/// The search, and the functions that it matches.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The regex as typed.
    pub text: String,
    /// The functions that match.
    pub symbols: Arc<HashSet<u32>>,
    /// What is wrong with the regex.
    pub error: Option<String>,
}

impl Search {
    /// The functions of `overview` that match `text`; none if it is empty.
    pub fn new(text: &str, overview: &Overview) -> Search {
        let mut search = Search { text: text.to_owned(), ..Search::default() };
        if text.is_empty() {
            return search;
        }
        match Regex::new(text) {
            Ok(regex) => {
                let matches = |label: &Label| {
                    regex.is_match(&label.name)
                        || regex.is_match(&format!("{}.{}", label.module, label.name))
                };
                let found = overview.labels.iter().enumerate().filter(|(_, l)| matches(l));
                search.symbols = Arc::new(found.map(|(id, _)| id as u32).collect());
            }
            Err(_) => search.error = Some(format!("{text}: not a regular expression")),
        }
        search
    }

    /// Whether a search is on.
    pub fn active(&self) -> bool {
        !self.text.is_empty() && self.error.is_none()
    }

    /// Whether it matches this function.
    pub fn hits(&self, symbol: u32) -> bool {
        self.symbols.contains(&symbol)
    }
}
