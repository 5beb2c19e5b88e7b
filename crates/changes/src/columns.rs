//! How a table's columns are called on the other side, and which have no place there.

use std::collections::{BTreeMap, BTreeSet};

/// The columns of one table that are not carried over under their own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnMap {
    renamed: BTreeMap<String, String>,
    left_out: BTreeSet<String>,
}

impl ColumnMap {
    /// Every column under its own name.
    pub fn same() -> Self {
        ColumnMap::default()
    }

    /// A column has another name on the other side.
    pub fn rename(&mut self, here: impl Into<String>, there: impl Into<String>) {
        self.renamed.insert(here.into(), there.into());
    }

    /// A column has no place on the other side.
    pub fn leave_out(&mut self, here: impl Into<String>) {
        self.left_out.insert(here.into());
    }

    /// A column's name on the other side; `None` when it is left out.
    pub fn there<'a>(&'a self, here: &'a str) -> Option<&'a str> {
        if self.left_out.contains(here) {
            return None;
        }
        Some(self.renamed.get(here).map_or(here, String::as_str))
    }

    /// Whether every column goes under its own name.
    pub fn is_same(&self) -> bool {
        self.renamed.is_empty() && self.left_out.is_empty()
    }

    /// Whether a column has another name there.
    pub fn renames(&self) -> bool {
        !self.renamed.is_empty()
    }

    /// The columns with another name, and that name.
    pub fn renamed(&self) -> impl Iterator<Item = (&str, &str)> {
        let renamed = self.renamed.iter();
        renamed.map(|(here, there)| (here.as_str(), there.as_str()))
    }

    /// The columns that are left out.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        self.left_out.iter().map(String::as_str)
    }

    /// The same seen from the other side, which does not have what is left out.
    #[must_use]
    pub fn turned(&self) -> Self {
        let turned = self.renamed.iter();
        ColumnMap {
            renamed: turned
                .map(|(here, there)| (there.clone(), here.clone()))
                .collect(),
            left_out: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ColumnMap;

    #[test]
    fn a_map_turned_round_leads_back() {
        let mut map = ColumnMap::same();
        assert!(map.is_same());
        map.rename("a", "b");
        map.rename("b", "a");
        map.leave_out("secret");
        assert_eq!(map.there("a"), Some("b"));
        assert_eq!(map.there("c"), Some("c"));
        assert_eq!(map.there("secret"), None);
        assert_eq!(map.turned().there("b"), Some("a"));
    }
}
