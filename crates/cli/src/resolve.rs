//! From what was typed to what is meant: arguments before the plan file, the plan file
//! before what `run` saved, then defaults.

mod ddl;
mod decoding;
mod making;
mod relaying;
mod replica;
mod seeding;
mod subscribing;
mod switching;
pub(crate) mod validating;

use std::path::{Path, PathBuf};
use std::time::Duration;

use trunkline_load::Scope;
use trunkline_migration::plan::{Budget, CopyPlan, Existing, Keep, Plan, StructurePlan};
use trunkline_migration::{ConflictPolicy, Error};
use trunkline_postgres::Conninfo;

use crate::args::MigrationArgs;
use crate::plan_file::{PlanFile, nearest, parse_duration, parse_size};
use crate::saved_plan::{SAVED_PLAN, saved};
use crate::transform_plan::transform;
use switching::cutover;

/// A plan and the text that later commands find it by.
pub(crate) struct Resolved {
    pub(crate) plan: Plan,
    pub(crate) file: PlanFile,
}

pub(crate) fn file_error(path: &Path, cause: std::io::Error) -> Error {
    Error::File {
        path: path.display().to_string(),
        cause,
    }
}

/// Tables or indexes at the same time: more only takes connections from others.
const MOST_JOBS: usize = 64;

pub(crate) fn plan_error(why: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Plan {
        why: why.into(),
        hint: hint.into(),
    }
}

/// Reads everything that says what a migration is. What `run` saved comes first, a plan file
/// in its place, arguments over both: so a later command means the same migration whether
/// its servers are named again or not.
pub(crate) fn resolve(args: &MigrationArgs) -> Result<Resolved, Error> {
    let given = given_file(args)?;
    let typed = with_arguments(args, given.clone().unwrap_or_default())?;
    let dir = folder(args, &typed)?;
    let file = match (given, saved(&dir)?) {
        (None, Some(saved)) => with_arguments(args, saved)?,
        _ => typed,
    };
    build(file, dir)
}

fn given_file(args: &MigrationArgs) -> Result<Option<PlanFile>, Error> {
    let here = Path::new("trunkline.toml");
    match &args.plan {
        Some(path) => read(path).map(Some),
        None if here.is_file() => read(here).map(Some),
        None => Ok(None),
    }
}

fn read(path: &Path) -> Result<PlanFile, Error> {
    let mut file = PlanFile::read(path)?;
    file.transform.seen_from(path)?;
    Ok(file)
}

/// The plan file with the arguments over it.
fn with_arguments(args: &MigrationArgs, mut file: PlanFile) -> Result<PlanFile, Error> {
    let alias = |name: &str| std::env::var(name).ok();
    let source = args
        .source
        .clone()
        .or_else(|| alias("PGCOPYDB_SOURCE_PGURI"));
    let target = args
        .target
        .clone()
        .or_else(|| alias("PGCOPYDB_TARGET_PGURI"));
    file.source.conninfo = source.or(file.source.conninfo);
    file.target.conninfo = target.or(file.target.conninfo);
    file.migration.name = args.name.clone().or(file.migration.name);
    // Patterns that are typed take the place of a filter file, and the other way round.
    if !(args.include.is_empty() && args.exclude.is_empty()) {
        file.tables.filters = None;
    }
    if !args.include.is_empty() {
        file.tables.include.clone_from(&args.include);
    }
    if !args.exclude.is_empty() {
        file.tables.exclude.clone_from(&args.exclude);
    }
    if let Some(filters) = &args.filters {
        let absolute = std::path::absolute(filters).map_err(|cause| file_error(filters, cause))?;
        file.tables.filters = Some(absolute);
        if args.include.is_empty() && args.exclude.is_empty() {
            file.tables.include.clear();
            file.tables.exclude.clear();
        }
    }
    file.seed.jobs = args.table_jobs.or(file.seed.jobs);
    file.seed.index_jobs = args.index_jobs.or(file.seed.index_jobs);
    let split = args.split_tables_larger_than.clone();
    file.seed.split_tables_larger_than = split.or(file.seed.split_tables_larger_than);
    let structure = &mut file.structure;
    for (switched, setting, value) in [
        (args.drop_if_exists, &mut structure.drop_if_exists, true),
        (args.no_structure, &mut structure.restore, false),
        (args.no_owner, &mut structure.owners, false),
        (args.no_privileges, &mut structure.privileges, false),
    ] {
        if switched {
            *setting = Some(value);
        }
    }
    if let Some(policy) = args.on_conflict {
        file.apply.on_conflict = Some(policy.name().to_owned());
    }
    Ok(file)
}

/// The folder of a migration: said, or found by its name, or the only one there is.
fn folder(args: &MigrationArgs, file: &PlanFile) -> Result<PathBuf, Error> {
    if let Some(dir) = &args.dir {
        return std::path::absolute(dir).map_err(|cause| file_error(dir, cause));
    }
    let home = state_home();
    if let Some(name) = name_of(file)? {
        return Ok(home.join(name));
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(&home)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join(SAVED_PLAN).is_file())
        .collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(plan_error(
            "which database is to be moved, and where to?",
            "give --source and --target, or a plan file, or --dir of a migration that was begun",
        )),
        (Some(_), _) => Err(plan_error(
            "there are several migrations on this machine",
            format!(
                "name one with --name or --dir; they lie in {}",
                home.display()
            ),
        )),
    }
}

fn state_home() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("trunkline")
}

fn name_of(file: &PlanFile) -> Result<Option<String>, Error> {
    let name = match (&file.migration.name, &file.source.conninfo) {
        (Some(name), _) => name.clone(),
        (None, Some(source)) => conninfo("source", source, None)?.database().to_owned(),
        (None, None) => return Ok(None),
    };
    let plain = name
        .chars()
        .map(|c| if c == '/' || c == '\0' { '_' } else { c });
    Ok(Some(plain.collect()))
}

pub(crate) fn conninfo(
    side: &str,
    text: &str,
    password_env: Option<&str>,
) -> Result<Conninfo, Error> {
    let conninfo = Conninfo::resolve(text).map_err(|error| {
        plan_error(
            format!("{side}: {error}"),
            "a libpq URI (postgres://user@host/database) or key=value string is expected",
        )
    })?;
    let Some(variable) = password_env else {
        return Ok(conninfo);
    };
    let password = std::env::var(variable).map_err(|_| {
        plan_error(
            format!("{side}: the variable {variable} named by password_env is not set"),
            "export it, or take password_env out of the plan",
        )
    })?;
    Ok(conninfo.with_password(&password))
}

fn server(side: &str, table: &crate::plan_file::ServerTable) -> Result<Conninfo, Error> {
    let text = table.conninfo.as_deref().ok_or_else(|| {
        plan_error(
            format!("the {side} is not given"),
            format!("give --{side}, or `conninfo` in the plan's [{side}]"),
        )
    })?;
    conninfo(side, text, table.password_env.as_deref())
}

fn build(mut file: PlanFile, dir: PathBuf) -> Result<Resolved, Error> {
    let source = server("source", &file.source)?;
    let target = server("target", &file.target)?;
    file.source.conninfo = Some(source.without_password());
    file.target.conninfo = Some(target.without_password());
    let name = name_of(&file)?.unwrap_or_default();
    file.migration.name = Some(name.clone());
    let (_, seed_port) = target.first_host();
    let (scope, transform) = transform(&file, scope)?;
    let route = subscribing::route(&mut file, &source, &target, &transform)?;
    if !transform.is_none() && file.seed.method.as_deref() == Some("snapshot") {
        return Err(plan_error(
            "transformations and [seed] method = \"snapshot\" are both given",
            "a physical copy has the source's names, columns and rows: leave one of them out",
        ));
    }
    let relay = relaying::relay(file.relay.as_mut(), &source)?;
    let cutover = cutover(&mut file, &source, &target, &name)?;
    let ddl = ddl::mode(&file, &route, &transform)?;
    let plan = Plan {
        name,
        source,
        target,
        relay,
        dir,
        route,
        scope,
        transform,
        insert_only: insert_only(&file)?,
        publication: file.source.publication.clone(),
        decoder: decoding::decoder(&file)?,
        structure: structure(&file),
        seed: seeding::seed(&file, seed_port)?,
        copy: copy(&file)?,
        conflict: conflict(&file)?,
        ddl,
        cutover,
        downstream: downstream(&file)?,
        validation: validating::plan(&file.validation)?,
        budget: Budget {
            wal_kept_warn_bytes: size(
                "wal_kept_warn",
                file.budget.wal_kept_warn.as_deref(),
                20 << 30,
            )?,
            wal_kept_stop_bytes: size(
                "wal_kept_stop",
                file.budget.wal_kept_stop.as_deref(),
                u64::MAX,
            )?,
        },
    };
    Ok(Resolved { plan, file })
}

pub(crate) fn one_of(key: &str, value: Option<&str>, known: &[&str]) -> Result<(), Error> {
    let Some(value) = value else { return Ok(()) };
    if known.contains(&value) {
        return Ok(());
    }
    let hint = nearest(value, known).map_or_else(
        || format!("this version knows: {}", known.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Err(plan_error(
        format!("`{key} = \"{value}\"` is not known"),
        hint,
    ))
}

fn scope(file: &PlanFile) -> Result<Scope, Error> {
    let tables = &file.tables;
    let Some(path) = &tables.filters else {
        return Ok(Scope::from_patterns(&tables.include, &tables.exclude)?);
    };
    if !tables.include.is_empty() || !tables.exclude.is_empty() {
        return Err(plan_error(
            "a filter file and include or exclude patterns are both given",
            "use one of them",
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| file_error(path, cause))?;
    Ok(Scope::from_ini(&text)?)
}

fn insert_only(file: &PlanFile) -> Result<Option<Scope>, Error> {
    let patterns = &file.tables.insert_only;
    if patterns.is_empty() {
        return Ok(None);
    }
    Ok(Some(Scope::from_patterns(patterns, &[])?))
}

fn structure(file: &PlanFile) -> StructurePlan {
    let structure = &file.structure;
    if structure.restore == Some(false) {
        return StructurePlan::Present;
    }
    let keep = |setting| {
        if setting == Some(false) {
            Keep::No
        } else {
            Keep::Yes
        }
    };
    StructurePlan::Restore {
        owners: keep(structure.owners),
        privileges: keep(structure.privileges),
        existing: match structure.drop_if_exists {
            Some(true) => Existing::Drop,
            _ => Existing::Refuse,
        },
    }
}

fn copy(file: &PlanFile) -> Result<CopyPlan, Error> {
    let seed = &file.seed;
    let jobs = |key: &str, value: Option<usize>, default: usize| match value {
        Some(value) if !(1..=MOST_JOBS).contains(&value) => Err(plan_error(
            format!("`{key}` is {value}"),
            format!("it must be from 1 to {MOST_JOBS}: each takes a connection to either server"),
        )),
        value => Ok(value.unwrap_or(default)),
    };
    Ok(CopyPlan {
        jobs: jobs("jobs", seed.jobs, 4)?,
        index_jobs: jobs("index_jobs", seed.index_jobs, 4)?,
        split_above_bytes: size(
            "split_tables_larger_than",
            seed.split_tables_larger_than.as_deref(),
            8 << 30,
        )?,
    })
}

fn conflict(file: &PlanFile) -> Result<ConflictPolicy, Error> {
    let value = file.apply.on_conflict.as_deref();
    one_of("on_conflict", value, &["stop", "park", "upsert"])?;
    Ok(match value {
        Some("park") => ConflictPolicy::Park,
        Some("upsert") => ConflictPolicy::Upsert,
        _ => ConflictPolicy::Stop,
    })
}

fn downstream(file: &PlanFile) -> Result<Vec<String>, Error> {
    let slots = &file.downstream.slots;
    let again = |(index, slot): (usize, &String)| slots[..index].contains(slot);
    if slots.iter().enumerate().any(again) {
        return Err(plan_error(
            "[downstream] names a slot twice",
            "name each slot once",
        ));
    }
    Ok(slots.clone())
}

fn size(key: &str, value: Option<&str>, default: u64) -> Result<u64, Error> {
    let Some(text) = value else {
        return Ok(default);
    };
    parse_size(text).ok_or_else(|| {
        plan_error(
            format!("`{key} = \"{text}\"` is not a size"),
            "write it like \"10 GB\"",
        )
    })
}

pub(crate) fn duration(
    key: &str,
    value: Option<&str>,
    default: Duration,
) -> Result<Duration, Error> {
    let Some(text) = value else {
        return Ok(default);
    };
    parse_duration(text).ok_or_else(|| {
        plan_error(
            format!("`{key} = \"{text}\"` is not a duration"),
            "write it like \"30s\"",
        )
    })
}
