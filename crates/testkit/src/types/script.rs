//! The `--+` lines in the matrix's SQL files.

/// The parts of a file that a major version understands.
pub(super) fn sections(text: &str, major: u32) -> String {
    let mut wanted = true;
    let mut kept = String::new();
    for line in text.lines() {
        match line.strip_prefix("--+ ") {
            Some("always") => wanted = true,
            Some(directive) if directive.starts_with("since ") => {
                let since: u32 = directive["since ".len()..]
                    .parse()
                    .expect("a major version");
                wanted = major >= since;
            }
            _ if wanted => {
                kept.push_str(line);
                kept.push('\n');
            }
            _ => {}
        }
    }
    kept
}

/// The transactions of a file; what stands before the first one is its heading.
pub(super) fn transactions(script: &str) -> Vec<String> {
    script
        .split("--+ transaction\n")
        .skip(1)
        .map(|body| format!("BEGIN;\n{body}COMMIT;\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{sections, transactions};

    #[test]
    fn parts_for_later_versions_are_left_out() {
        let text = "a\n--+ since 14\nb\n--+ always\nc\n";
        assert_eq!(sections(text, 13), "a\nc\n");
        assert_eq!(sections(text, 14), "a\nb\nc\n");
    }

    #[test]
    fn transactions_are_divided_and_the_heading_goes() {
        let found = transactions("head\n--+ transaction\na\n--+ transaction\nb\n");
        assert_eq!(found, ["BEGIN;\na\nCOMMIT;\n", "BEGIN;\nb\nCOMMIT;\n"]);
    }
}
