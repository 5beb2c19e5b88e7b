//! The connection service file (manual, "The Connection Service File").

use std::fs;
use std::io;
use std::path::Path;

use super::environment::Environment;
use super::error::ConninfoError;
use super::keyword;

/// The settings of a service: from `PGSERVICEFILE` or `~/.pg_service.conf`, else from the
/// system-wide file.
pub(super) fn load(
    name: &str,
    environment: &Environment,
) -> Result<Vec<(String, String)>, ConninfoError> {
    let mut files = Vec::new();
    match environment.variable("PGSERVICEFILE") {
        Some(path) if !path.is_empty() => {
            if !Path::new(path).exists() {
                return Err(error(
                    name,
                    format!("the service file {path} does not exist"),
                ));
            }
            files.push(path.into());
        }
        _ => files.extend(environment.in_home(".pg_service.conf")),
    }
    let system = environment.system_configuration();
    files.extend(
        system
            .iter()
            .map(|directory| directory.join("pg_service.conf")),
    );
    for file in &files {
        match fs::read_to_string(file) {
            Ok(text) => {
                if let Some(pairs) = section(&text, name, file)? {
                    return Ok(pairs);
                }
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(error(name, format!("{}: {cause}", file.display()))),
        }
    }
    let looked: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    Err(error(
        name,
        format!("not defined in {}", looked.join(" or ")),
    ))
}

fn error(name: &str, why: impl Into<String>) -> ConninfoError {
    ConninfoError::Service {
        name: name.to_owned(),
        why: why.into(),
    }
}

/// The pairs of `[name]`, or `None` if the file has no such section. Values are taken as they
/// stand, without quotes.
fn section(
    text: &str,
    name: &str,
    file: &Path,
) -> Result<Option<Vec<(String, String)>>, ConninfoError> {
    let mut found: Option<Vec<(String, String)>> = None;
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if header.strip_suffix(']') == Some(name) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(pairs) = &mut found else { continue };
        let place = format!("{} line {}", file.display(), number + 1);
        let Some((key, value)) = line.split_once('=') else {
            return Err(error(name, format!("{place}: not key=value")));
        };
        if key == "service" {
            return Err(error(name, format!("{place}: services cannot be nested")));
        }
        keyword::find(key).map_err(|cause| error(name, format!("{place}: {cause}")))?;
        // As libpq: the first setting of a keyword in a section wins.
        if !pairs.iter().any(|(known, _)| known == key) {
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::section;
    use std::path::Path;

    #[test]
    fn a_section_is_read_up_to_the_next_one() {
        let text = "# head\n[a]\nhost=one\n\n[b]\nhost=two\n  port=5433\npassword=x y\n[c]\n";
        let pairs = section(text, "b", Path::new("f"))
            .expect("valid")
            .expect("found");
        let expected = [("host", "two"), ("port", "5433"), ("password", "x y")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(pairs, expected);
        assert_eq!(section(text, "d", Path::new("f")), Ok(None));
    }

    #[test]
    fn a_nested_service_and_an_unknown_keyword_are_errors() {
        for text in ["[a]\nservice=b\n", "[a]\nhots=b\n", "[a]\nhost\n"] {
            assert!(section(text, "a", Path::new("f")).is_err(), "{text}");
        }
    }
}
