//! `pg_restore`'s text cut into entries. With `--verbose` each entry is announced by its
//! number, catalog and OID, and what it needs; the list says which numbers there are, in
//! which order and section. A line counts as an announcement only if it is the next of the
//! list, so a function's body that looks like one stays a body. The text is read once, line by
//! line, and only the places of the entries in it are kept.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use trunkline_changes::Pool;

use super::announcement::{Announcement, toc_line};
use super::constraint;
use super::entry::{Entry, Group, Section};
use super::lines::{Lines, last_line};
use super::listing::{Listed, Lists};
use super::script::{Script, Within, finished};
use crate::error::LoadError;

/// Cuts the text into entries, in its order.
pub(crate) fn split(text: &Arc<File>, lists: Lists) -> Result<Vec<Entry>, LoadError> {
    let mut cutter = Cutter::new(text, lists)?;
    let mut lines = Lines::new(BufReader::new(&**text))?;
    while lines.advance()? {
        let announced = match lines.current.as_str() {
            "--\n" => cutter.announced(&lines.next)?,
            _ => None,
        };
        match announced {
            Some(listed) => cutter.open(&mut lines, &listed)?,
            None => cutter.add(&lines.current),
        }
    }
    cutter.finish()
}

struct Cutter {
    text: Arc<File>,
    lists: Lists,
    by_id: HashMap<u32, Listed>,
    entries: Vec<Entry>,
    current: Option<Opened>,
    groups: Pool<Group>,
    /// `SET default_…` lines in force, by setting.
    defaults: Vec<(String, String)>,
    /// The same as one text.
    storage: Arc<Within>,
    /// What a sequence is made under: no dump says where one lies, and it would go where the
    /// session's last table did.
    nowhere: Arc<Within>,
    nothing: Arc<Within>,
}

/// An entry whose text is being read.
struct Opened {
    announcement: Announcement,
    section: Section,
    /// Where its text begins.
    at: u64,
    text: String,
}

/// Settings that `pg_restore` changes between entries, and that decide what the next make.
const DEFAULTS: [&str; 2] = ["default_tablespace", "default_table_access_method"];

fn within(text: &Arc<File>, settings: impl Into<String>) -> Arc<Within> {
    Arc::new(Within {
        text: Arc::clone(text),
        settings: settings.into(),
    })
}

impl Cutter {
    fn new(text: &Arc<File>, lists: Lists) -> Result<Self, LoadError> {
        let by_id = lists.read()?;
        Ok(Cutter {
            text: Arc::clone(text),
            lists,
            entries: Vec::with_capacity(by_id.len()),
            by_id,
            current: None,
            groups: Pool::default(),
            defaults: Vec::new(),
            storage: within(text, ""),
            nowhere: within(text, "SET default_tablespace = '';\n"),
            nothing: within(text, ""),
        })
    }

    /// The list's line of the entry that a line announces, if none of it was seen yet.
    fn announced(&self, line: &str) -> Result<Option<String>, LoadError> {
        let Some((id, class, oid)) = toc_line(line) else {
            return Ok(None);
        };
        let Some(listed) = self.by_id.get(&id).filter(|listed| !listed.seen) else {
            return Ok(None);
        };
        let listed = self.lists.line(listed)?;
        let start = format!("{id}; {class} {oid} ");
        Ok(Some(listed).filter(|listed| listed.starts_with(&start)))
    }

    /// `listed` is what the list says of it.
    fn open(&mut self, lines: &mut Lines<impl BufRead>, listed: &str) -> Result<(), LoadError> {
        self.close(is_between)?;
        let mut announcement = Announcement::default();
        while lines.advance()? && lines.current != "--\n" {
            announcement.read(&lines.current);
        }
        let schema = if announcement.schema.is_empty() {
            "-"
        } else {
            &announcement.schema
        };
        let start = format!(
            "{}; {} {} {} {schema} {} ",
            announcement.id,
            announcement.class,
            announcement.oid,
            announcement.kind,
            announcement.name
        );
        let found = self.by_id.get_mut(&announcement.id);
        let found = found.filter(|_| listed.starts_with(&start));
        let not_listed = || LoadError::Toc(format!("`{start}` is not what the list says"));
        let found = found.ok_or_else(not_listed)?;
        found.seen = true;
        self.current = Some(Opened {
            announcement,
            section: found.section,
            at: lines.end,
            text: String::new(),
        });
        Ok(())
    }

    fn add(&mut self, line: &str) {
        match &mut self.current {
            Some(opened) => opened.text.push_str(line),
            // Before the first entry stand the session's settings; ours are pinned.
            None => self.note_default(line),
        }
    }

    fn note_default(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(setting) = default_of(line) {
            self.defaults.retain(|(name, _)| name != setting);
            self.defaults.push((setting.to_owned(), line.to_owned()));
            let lines = self.defaults.iter().map(|(_, line)| format!("{line}\n"));
            self.storage = within(&self.text, lines.collect::<String>());
        }
    }

    /// Ends the current entry. The settings for the next one stand at its end; `is_between` says
    /// which lines there are not its own.
    fn close(&mut self, is_between: fn(&str) -> bool) -> Result<(), LoadError> {
        let Some(opened) = self.current.take() else {
            return Ok(());
        };
        let Opened {
            announcement,
            section,
            at,
            text,
        } = opened;
        let mut body = text.as_str();
        let mut settings = Vec::new();
        while !body.is_empty() && is_between(last_line(body)) {
            settings.push(last_line(body));
            body = &body[..body.len() - last_line(body).len()];
        }
        let before = body.len();
        body = body.trim_start();
        let at = at + (before - body.len()) as u64;
        let entry = self.entry(announcement, section, (at, body))?;
        self.entries.push(entry);
        for line in settings.iter().rev() {
            self.note_default(line);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        announcement: Announcement,
        section: Section,
        (at, body): (u64, &str),
    ) -> Result<Entry, LoadError> {
        let Announcement {
            id,
            class,
            oid,
            needs,
            name,
            kind,
            schema,
        } = announcement;
        let within = match kind.as_str() {
            "TABLE" | "INDEX" | "CONSTRAINT" | "MATERIALIZED VIEW" => &self.storage,
            "SEQUENCE" => &self.nowhere,
            _ => &self.nothing,
        };
        let length = u32::try_from(body.len());
        let length = length.map_err(|_| LoadError::Toc(format!("{kind} {name} has over 4 GB")))?;
        let splits =
            kind == "CONSTRAINT" && constraint::split(&finished(&within.settings, body)).is_some();
        let script = Script {
            within: Some(Arc::clone(within)),
            at,
            length,
        };
        let unique_index = kind == "INDEX" && body.starts_with("CREATE UNIQUE INDEX");
        let group = Group {
            class,
            kind,
            schema,
            section,
        };
        Ok(Entry {
            group: self.groups.share(group),
            id,
            oid,
            name,
            needs,
            ordinal: 0,
            unique_index,
            splits,
            script,
        })
    }

    fn finish(mut self) -> Result<Vec<Entry>, LoadError> {
        self.close(is_at_the_end)?;
        if let Some(missing) = self.by_id.values().find(|listed| !listed.seen) {
            let line = self.lists.line(missing)?;
            return Err(LoadError::Toc(format!("no text for the entry `{line}`")));
        }
        number_alike(&mut self.entries);
        Ok(self.entries)
    }
}

/// The setting that a line sets, of those that decide what the next entries make.
fn default_of(line: &str) -> Option<&'static str> {
    let (setting, _) = line.strip_prefix("SET ")?.split_once(" =")?;
    DEFAULTS.into_iter().find(|name| *name == setting)
}

/// Whether a line stands between entries, when nothing but such lines follows it.
fn is_between(line: &str) -> bool {
    line.trim().is_empty() || default_of(line).is_some()
}

/// Whether a line stands behind the last entry, when nothing but such lines follows it.
fn is_at_the_end(line: &str) -> bool {
    is_between(line)
        || ["--\n", "-- PostgreSQL database dump complete\n"].contains(&line)
        || line.starts_with("-- Completed on ")
        || line.starts_with("\\unrestrict ")
}

/// Numbers the entries of the same kind, schema and name, in their order.
fn number_alike(entries: &mut [Entry]) {
    fn named(entry: &Entry) -> (&str, &str, &str) {
        (entry.kind(), entry.schema(), &entry.name)
    }
    let mut places: Vec<usize> = (0..entries.len()).collect();
    places.sort_unstable_by(|&one, &other| {
        let order = named(&entries[one]).cmp(&named(&entries[other]));
        order.then(one.cmp(&other))
    });
    for pair in places.windows(2) {
        let &[before, after] = pair else { continue };
        if named(&entries[before]) == named(&entries[after]) {
            entries[after].ordinal = entries[before].ordinal + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, Write as _};

    const PRE: &str = ";\n; Archive created\n;\n8; 2615 100 SCHEMA - a b owner\n\
        10; 1259 101 TABLE public odd; Type: TABLE owner\n11; 1255 102 FUNCTION public f() owner\n";
    const POST: &str = "12; 1259 103 INDEX public i owner\n";
    const TEXT: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET transaction_timeout = 0;\n\n\
        --\n-- TOC entry 8 (class 2615 OID 100)\n-- Name: a b; Type: SCHEMA; Schema: -; Owner: owner\n-- Data Pos: 0\n--\n\n\
        CREATE SCHEMA \"a b\";\n\n\nSET default_tablespace = '';\n\nSET default_table_access_method = heap;\n\n\
        --\n-- TOC entry 10 (class 1259 OID 101)\n-- Dependencies: 8\n-- Name: odd; Type: TABLE; Type: TABLE; Schema: public; Owner: owner\n-- Data Pos: 0\n--\n\n\
        CREATE TABLE public.\"odd; Type: TABLE\" ();\n\n\n\
        --\n-- TOC entry 11 (class 1255 OID 102)\n-- Name: f(); Type: FUNCTION; Schema: public; Owner: owner\n--\n\n\
        CREATE FUNCTION f() AS '\n--\n-- TOC entry 10 (class 1259 OID 101)\n-- Name: fake\n--\n';\n\n\n\
        SET default_tablespace = fast;\n\n\
        --\n-- TOC entry 12 (class 1259 OID 103)\n-- Dependencies: 10 8\n-- Name: i; Type: INDEX; Schema: public; Owner: owner\n--\n\n\
        CREATE INDEX i ON x;\n\n\n-- Completed on today\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n";

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file.rewind().expect("rewound");
        file
    }

    /// Of a text with the lists of its sections.
    fn entries(text: &str, pre_data: &str, post_data: &str) -> Result<Vec<Entry>, LoadError> {
        let lists = Lists {
            pre_data: file(pre_data),
            post_data: file(post_data),
        };
        split(&Arc::new(file(text)), lists)
    }

    #[test]
    fn a_body_keeps_its_lines_and_their_ends() {
        let body =
            "CREATE FUNCTION f() AS '\r\nbegin\r\n  return ''a\r\nb'';\r\n\nend\n-- of it';\n";
        let text = TEXT.replace("CREATE FUNCTION f() AS '\n--\n-- TOC entry 10 (class 1259 OID 101)\n-- Name: fake\n--\n';\n", body);
        let entries = entries(&text, PRE, POST).expect("entries");
        assert_eq!(entries[2].sql().expect("its text"), body);
    }

    #[test]
    fn the_text_is_cut_where_the_list_says() {
        let entries = entries(TEXT, PRE, POST).expect("entries");
        let sql: Vec<String> = entries.iter().map(|e| e.sql().expect("its text")).collect();
        assert_eq!(
            sql,
            [
                "CREATE SCHEMA \"a b\";\n",
                "SET default_tablespace = '';\nSET default_table_access_method = heap;\nCREATE TABLE public.\"odd; Type: TABLE\" ();\n",
                "CREATE FUNCTION f() AS '\n--\n-- TOC entry 10 (class 1259 OID 101)\n-- Name: fake\n--\n';\n",
                "SET default_table_access_method = heap;\nSET default_tablespace = fast;\nCREATE INDEX i ON x;\n",
            ]
        );
        assert_eq!(entries[1].name, "odd; Type: TABLE");
        assert_eq!(*entries[1].needs, [8]);
        assert_eq!(entries[3].section(), Section::PostData);
    }

    #[test]
    fn entries_alike_are_numbered_in_their_order() {
        let entry = |kind, schema, name| Entry::bare(0, kind, schema, name, &[]);
        let mut entries = [
            entry("ACL", "s", "b"),
            entry("ACL", "s", "a"),
            entry("ACL", "s", "b"),
            entry("ACL", "t", "b"),
            entry("TABLE", "s", "b"),
            entry("ACL", "s", "b"),
        ];
        number_alike(&mut entries);
        let numbers = entries.map(|entry| entry.ordinal);
        assert_eq!(numbers, [0, 0, 1, 0, 0, 2]);
    }

    #[test]
    fn an_entry_without_text_is_an_error() {
        let longer = format!("{POST}13; 1259 104 INDEX public j owner\n");
        let error = entries(TEXT, PRE, &longer).expect_err("13 is missing");
        assert!(error.to_string().contains("104"), "{error}");
    }
}
