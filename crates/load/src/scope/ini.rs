//! pgcopydb's filter files, read as they are: sections in brackets, one pattern a line.

use super::{Scope, ScopeBuilder};
use crate::error::LoadError;

/// Reads a filter file. Lines that begin with `#` or `;` are comments.
pub(crate) fn read(text: &str) -> Result<Scope, LoadError> {
    let mut builder = ScopeBuilder::default();
    let mut section: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let wrong = |what: String| LoadError::FilterSyntax {
            line: index + 1,
            what,
        };
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = Some(name.trim().to_owned());
            continue;
        }
        let within = section
            .as_deref()
            .ok_or_else(|| wrong("it stands before any [section]".to_owned()))?;
        let list = builder.section(within).ok_or_else(|| {
            wrong(format!(
                "the section [{within}] is not known (known: {})",
                ScopeBuilder::SECTIONS.join(", ")
            ))
        })?;
        list.push(line.to_owned());
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_changes::TableName;

    #[test]
    fn a_filter_file_is_read_as_it_is() {
        let scope = read(
            "# comment\n[include-only-table]\npublic.orders\npublic.~/^item/\n\n[exclude-index]\npublic.orders_idx\n\
             [exclude-table-data]\npublic.items_old\n",
        )
        .expect("a filter file");
        assert!(scope.covers_table(&TableName::new("public", "orders")));
        assert!(scope.covers_table(&TableName::new("public", "items")));
        assert!(!scope.covers_table(&TableName::new("public", "users")));
        assert!(!scope.covers_index("public", "orders_idx"));
        assert!(!scope.covers_data(&TableName::new("public", "items_old")));
    }

    #[test]
    fn an_unknown_section_is_named_with_its_line() {
        let error = read("\n[exclude-everything]\nx\n").expect_err("unknown");
        assert!(error.to_string().contains("line 3"), "{error}");
        assert!(error.to_string().contains("exclude-everything"), "{error}");
        assert!(read("public.a\n").is_err());
    }
}
