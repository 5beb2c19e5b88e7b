//! Which tables and rows a comparison is asked for, beside all of them. Holds always: what
//! was chosen is shown only, and never counts as the migration's verification.

mod condition;
mod probe;

use trunkline_changes::TableName;
use trunkline_load::Scope;
use trunkline_verify::{Choice, Comparison};

pub use condition::Condition;
pub(crate) use probe::{refuse_condition, refuse_unusable};

use crate::error::Error;

/// Rows chosen by a hash of their key are counted in this many parts of a table.
const SAMPLE_OF: f64 = 65_536.0;

/// A share of each table's rows, the same rows on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(u32);

impl Sample {
    /// Reads a share such as `1%` or `0.5%`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let number = text.trim().trim_end_matches('%').trim_end();
        let percent = number.parse::<f64>().ok();
        let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
        let Some(percent) = percent else {
            return Err(Error::Plan {
                why: format!("`{text}` is not a share of the rows"),
                hint: "write it like \"1%\": more than 0, and at most 100".to_owned(),
            });
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 65,536"
        )]
        let share = (percent / 100.0 * SAMPLE_OF).round() as u32;
        Ok(Sample(share.max(1)))
    }
}

/// What is compared.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// Only these tables.
    pub(crate) tables: Option<Scope>,
    /// The patterns that name them.
    pub(crate) patterns: Vec<String>,
    /// Only rows for which this is true; with one table only.
    pub condition: Option<Condition>,
    /// Only a share of the rows.
    pub sample: Option<Sample>,
}

impl Chosen {
    /// The tables that match one of some patterns, without a pattern all of them, but for
    /// those that match one of the patterns left out.
    pub fn of_tables(patterns: &[String], left_out: &[String]) -> Result<Self, Error> {
        let scope = || Scope::from_patterns(patterns, left_out);
        let is_some = !(patterns.is_empty() && left_out.is_empty());
        Ok(Chosen {
            tables: is_some.then(scope).transpose()?,
            patterns: patterns.to_vec(),
            ..Chosen::default()
        })
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.tables.is_none() && self.choice() == Choice::default()
    }

    /// Whether a table is among the chosen ones, itself or with one that it is a partition of
    /// (`above`, the nearest first).
    pub(crate) fn covers(&self, table: &TableName, above: &[&TableName]) -> bool {
        let tables = self.tables.as_ref();
        tables.is_none_or(|scope| scope.covers_partition(table, above))
    }

    /// The rows, as the comparison takes them.
    pub(crate) fn choice(&self) -> Choice {
        Choice {
            condition: self.condition.as_ref().map(|c| c.sql().to_owned()),
            sample: self.sample.map(|sample| sample.0),
        }
    }

    /// The comparisons with the chosen rows.
    pub(crate) fn narrow(&self, comparisons: &mut [Comparison]) {
        for comparison in comparisons {
            comparison.choice = self.choice();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn a_share_is_a_percentage() {
        let share = |text| Sample::parse(text).ok().map(|sample| sample.0);
        assert_eq!(share("1%"), Some(655));
        assert_eq!(share(" 0.5 % "), Some(328));
        assert_eq!(share("50"), Some(32_768));
        assert_eq!(share("100%"), Some(65_536));
        assert_eq!(share("0.00001%"), Some(1));
        for wrong in ["", "%", "0%", "-1%", "101%", "many", "NaN"] {
            assert_eq!(share(wrong), None, "{wrong}");
        }
    }
}
