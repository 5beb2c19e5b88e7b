//! A foreign key in two steps: added without looking at the rows, then validated under a
//! lock that lets readers and writers work. Pure text.

use super::identifier::{Added, added_constraint};

/// The two statements of a foreign key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    /// Adds it.
    pub(crate) add: String,
    /// Validates it; `None` when the first statement did, or when the source's is not
    /// validated either.
    pub(crate) validate: Option<String>,
}

/// Splits `pg_dump`'s statement. `at_once` adds it plainly, for what cannot be NOT VALID:
/// foreign keys of partitioned tables before version 18.
pub(crate) fn split(sql: &str, at_once: bool) -> ForeignKey {
    let plain = || ForeignKey {
        add: sql.to_owned(),
        validate: None,
    };
    let statement = sql.trim_end();
    let Some(body) = statement.strip_suffix(';') else {
        return plain();
    };
    if at_once || body.ends_with(" NOT VALID") || body.ends_with(" NOT ENFORCED") {
        return plain();
    }
    let Some(validate) = validation(body) else {
        return plain();
    };
    ForeignKey {
        add: format!("{body} NOT VALID;\n"),
        validate: Some(validate),
    }
}

/// `ALTER TABLE … VALIDATE CONSTRAINT …` for `ALTER TABLE [ONLY] … ADD CONSTRAINT …`.
fn validation(body: &str) -> Option<String> {
    let Added {
        schema,
        table,
        name,
        definition,
    } = added_constraint(body)?;
    definition
        .starts_with(" FOREIGN KEY")
        .then(|| format!("ALTER TABLE {schema}.{table} VALIDATE CONSTRAINT {name};\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_key_is_added_first_and_validated_later() {
        let sql = "ALTER TABLE ONLY \"My \"\"S\".i\n    ADD CONSTRAINT \"a FOREIGN KEY\" FOREIGN KEY (t_id) REFERENCES public.t(id) ON DELETE CASCADE DEFERRABLE;\n";
        let split = split(sql, false);
        assert!(
            split
                .add
                .ends_with("ON DELETE CASCADE DEFERRABLE NOT VALID;\n")
        );
        assert_eq!(
            split.validate.as_deref(),
            Some("ALTER TABLE \"My \"\"S\".i VALIDATE CONSTRAINT \"a FOREIGN KEY\";\n")
        );
    }

    #[test]
    fn what_the_source_did_not_validate_stays_so() {
        for end in [" NOT VALID;\n", " NOT ENFORCED;\n"] {
            let sql = format!(
                "ALTER TABLE ONLY public.i\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.t(id){end}"
            );
            assert_eq!(
                split(&sql, false),
                ForeignKey {
                    add: sql.clone(),
                    validate: None
                }
            );
        }
    }

    #[test]
    fn partitioned_tables_get_it_at_once() {
        let sql =
            "ALTER TABLE public.p\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.t(id);\n";
        assert_eq!(split(sql, true).validate, None);
        assert_eq!(split(sql, true).add, sql);
    }
}
