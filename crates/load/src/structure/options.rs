//! What `pg_dump` may write that a target does not take: options of columns that only the
//! source's server knows.

/// Takes the options that begin with `pg_` out of `ALTER TABLE … ALTER COLUMN … SET (…)`
/// lines: they are a server's own marks (`pg_attver`), and every target refuses them.
pub(crate) fn without_server_marks(sql: &str) -> String {
    let mut kept = String::with_capacity(sql.len());
    for line in sql.split_inclusive('\n') {
        match unmarked(line) {
            None => kept.push_str(line),
            Some(replacement) => kept.push_str(&replacement),
        }
    }
    kept
}

/// What replaces a line that sets marks; `None` for every other line.
fn unmarked(line: &str) -> Option<String> {
    let statement = line.trim_end();
    let is_column_option = statement.starts_with("ALTER ") && statement.contains(" ALTER COLUMN ");
    if !is_column_option {
        return None;
    }
    let inner = statement.strip_suffix(");")?;
    let (head, options) = inner.rsplit_once(" SET (")?;
    let kept: Vec<&str> = options
        .split(", ")
        .filter(|option| !option.starts_with("pg_"))
        .collect();
    if kept.len() == options.split(", ").count() {
        return None;
    }
    if kept.is_empty() {
        return Some(String::new());
    }
    Some(format!("{head} SET ({});\n", kept.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_marks_are_left_out_and_real_options_stay() {
        let sql = "CREATE TABLE public.t (\n    a integer\n);\n\
                   ALTER TABLE ONLY public.t ALTER COLUMN a SET (pg_attver=3);\n\
                   ALTER TABLE ONLY public.t ALTER COLUMN a SET (n_distinct=5, pg_attver=3);\n\
                   ALTER TABLE ONLY public.t ALTER COLUMN a SET (n_distinct=5);\n";
        let expected = "CREATE TABLE public.t (\n    a integer\n);\n\
                        ALTER TABLE ONLY public.t ALTER COLUMN a SET (n_distinct=5);\n\
                        ALTER TABLE ONLY public.t ALTER COLUMN a SET (n_distinct=5);\n";
        assert_eq!(without_server_marks(sql), expected);
    }
}
