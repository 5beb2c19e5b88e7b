//! The reference pages, generated from the code: the command line, and the exit codes.

use std::fmt::Write as _;
use std::path::Path;

use clap::CommandFactory;
use trunkline_migration::Error;

use crate::args::Cli;

/// The exit codes, stable.
const EXIT_CODES: [(u8, &str); 11] = [
    (0, "done"),
    (1, "a fault of Trunkline or of this machine"),
    (2, "usage or plan file"),
    (3, "the preflight found a blocker"),
    (4, "the source"),
    (5, "the target"),
    (6, "differences found"),
    (
        7,
        "the cutover or rollback was given up; the side that served before still serves",
    ),
    (
        8,
        "past the point of no return: an operator is needed, and the report says what to do",
    ),
    (
        9,
        "another run holds this migration, or its state refuses this command",
    ),
    (130, "interrupted; can be gone on from"),
];

/// Writes the pages into a folder.
pub(crate) fn write(dir: &Path) -> Result<u8, Error> {
    let file = |path: &Path, cause| Error::File {
        path: path.display().to_string(),
        cause,
    };
    std::fs::create_dir_all(dir).map_err(|cause| file(dir, cause))?;
    for (name, text) in [("commands.md", commands()), ("exit-codes.md", exit_codes())] {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|cause| file(&path, cause))?;
    }
    Ok(0)
}

fn exit_codes() -> String {
    let mut text = String::from("# Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in EXIT_CODES {
        let _written = writeln!(text, "| {code} | {meaning} |");
    }
    text
}

fn commands() -> String {
    let mut text = String::from("# The command line\n");
    let mut command = Cli::command().term_width(100);
    command.build();
    for sub in command
        .get_subcommands_mut()
        .filter(|sub| !sub.is_hide_set())
    {
        let name = sub.get_name().to_owned();
        let help = sub.render_long_help();
        let lines: Vec<String> = help
            .to_string()
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        let _written = write!(
            text,
            "\n## trunkline {name}\n\n```text\n{}\n```\n",
            lines.join("\n").trim_end()
        );
    }
    text
}
