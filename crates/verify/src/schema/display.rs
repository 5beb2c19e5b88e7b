//! A difference as a person reads it: a line, or a line and two with what differs.

use std::fmt;

use super::differences::{SchemaChange, SchemaDifference};
use super::limits::{CONTEXT_CHARS, DIFFERING_CHARS, ONE_LINE_CHARS};

impl fmt::Display for SchemaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.kind, self.object)?;
        match &self.change {
            SchemaChange::MissingOnTarget if self.certain => f.write_str("missing on the target"),
            SchemaChange::MissingOnTarget => {
                f.write_str("missing on the target (not valid on the source)")
            }
            SchemaChange::ExtraOnTarget => f.write_str("only on the target"),
            SchemaChange::Differs {
                aspect,
                source,
                target,
            } => {
                let (source, target) = (shown(source.as_deref()), shown(target.as_deref()));
                self.pair(f, aspect, &source, &target)
            }
        }
    }
}

impl SchemaDifference {
    fn pair(
        &self,
        f: &mut fmt::Formatter<'_>,
        aspect: &str,
        source: &[char],
        target: &[char],
    ) -> fmt::Result {
        let (what, remark) = match aspect {
            "definition_text" => ("definition", ", perhaps only in spelling"),
            _ if self.certain => (aspect, ""),
            _ => (aspect, ", for information"),
        };
        if source.len().max(target.len()) <= ONE_LINE_CHARS {
            let (source, target) = (text(source), text(target));
            return write!(
                f,
                "{what} differs{remark}: {source} on the source, {target} on the target"
            );
        }
        let (source, target) = differing(source, target);
        write!(f, "{what} differs{remark}\n  - {source}\n  + {target}")
    }
}

/// One line of characters: what breaks a line is written out.
fn shown(value: Option<&str>) -> Vec<char> {
    let written = value.map(|text| text.replace('\n', "\\n").replace('\t', "\\t"));
    written.as_deref().unwrap_or("none").chars().collect()
}

fn text(characters: &[char]) -> String {
    characters.iter().collect()
}

/// The parts in which two texts differ, with a little of what stands around them.
fn differing(one: &[char], two: &[char]) -> (String, String) {
    let shortest = one.len().min(two.len());
    let same = |pair: &(&char, &char)| pair.0 == pair.1;
    let before = one.iter().zip(two).take_while(same).count();
    let reversed = one.iter().rev().zip(two.iter().rev());
    let after = reversed.take(shortest - before).take_while(same).count();
    (cut(one, before, after), cut(two, before, after))
}

fn cut(characters: &[char], before: usize, after: usize) -> String {
    let start = before.saturating_sub(CONTEXT_CHARS);
    let end = characters.len() - after.saturating_sub(CONTEXT_CHARS);
    let longest = DIFFERING_CHARS + 2 * CONTEXT_CHARS;
    let (part, cut_off) = match &characters[start..end] {
        part if part.len() > longest => (&part[..longest], true),
        part => (part, end < characters.len()),
    };
    let (left, right) = (
        if start > 0 { "…" } else { "" },
        if cut_off { "…" } else { "" },
    );
    format!("{left}{}{right}", text(part))
}

#[cfg(test)]
mod tests {
    use super::super::object::ObjectKind;
    use super::{SchemaChange, SchemaDifference};

    fn shown(aspect: &'static str, certain: bool, source: &str, target: Option<&str>) -> String {
        let change = SchemaChange::Differs {
            aspect,
            source: Some(source.to_owned()),
            target: target.map(str::to_owned),
        };
        let difference = SchemaDifference {
            kind: ObjectKind::Column,
            object: "public.orders.note".to_owned(),
            change,
            certain,
        };
        difference.to_string()
    }

    #[test]
    fn short_texts_stand_on_one_line() {
        assert_eq!(
            shown("type", true, "text", Some("integer")),
            "column public.orders.note: type differs: text on the source, integer on the target"
        );
        assert_eq!(
            shown("default", true, "0", None),
            "column public.orders.note: default differs: 0 on the source, none on the target"
        );
        assert_eq!(
            shown("version", false, "1.0", Some("1.1")),
            "column public.orders.note: version differs, for information: 1.0 on the source, \
             1.1 on the target"
        );
    }

    #[test]
    fn long_texts_are_cut_to_where_they_differ() {
        let long = |middle: &str| format!("{}\n{middle}{}", "é".repeat(500), "z".repeat(500));
        let (around, end) = ("é".repeat(28), "z".repeat(30));
        assert_eq!(
            shown("definition_text", false, &long("thus"), Some(&long("much"))),
            format!(
                "column public.orders.note: definition differs, perhaps only in spelling\n  \
                 - …{around}\\nthus{end}…\n  + …{around}\\nmuch{end}…"
            )
        );
        let whole = shown("default", true, &"x".repeat(10_000), None);
        assert!(whole.len() < 500, "{whole}");
        assert!(whole.ends_with("…\n  + none"), "{whole}");
    }
}
