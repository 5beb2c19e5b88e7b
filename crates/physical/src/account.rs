//! Which operating-system user owns the copy and runs the programs: ourselves, or, when we
//! are root, another one, because PostgreSQL refuses to run as root.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use trunkline_postgres::Conninfo;

use crate::error::{AtPath, PhysicalError};

/// The user that servers run as when we are root and nobody was named.
const USUAL: &str = "postgres";

/// The user that owns the data folder and runs the programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    user: String,
    /// Whom to change to, when we are root.
    change_to: Option<Ids>,
    home: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    user: u32,
    group: u32,
}

impl Account {
    /// The account to use: `user` if it is given; otherwise ourselves or, when we are root,
    /// `postgres`.
    pub async fn of(user: Option<&str>) -> Result<Account, PhysicalError> {
        let ourselves = rustix::process::geteuid();
        if !ourselves.is_root() {
            let known = known_user(&ourselves.as_raw().to_string()).await?;
            return match user {
                Some(named) if named != known.user => Err(PhysicalError::Account {
                    user: named.to_owned(),
                    why: format!(
                        "only root can run programs as another user than {}",
                        known.user
                    ),
                }),
                _ => Ok(Account {
                    change_to: None,
                    ..known
                }),
            };
        }
        let account = known_user(user.unwrap_or(USUAL)).await?;
        match account.change_to {
            Some(Ids { user: 0, .. }) | None => Err(PhysicalError::Account {
                user: account.user,
                why: "PostgreSQL refuses to run as root".to_owned(),
            }),
            Some(_) => Ok(account),
        }
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A command that runs as this account, in `/`, with none of our libpq variables.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = match self.change_to {
            None => Command::new(program),
            Some(Ids { user, group }) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={user}"))
                    .arg(format!("--regid={group}"))
                    .args(["--init-groups", "--"])
                    .arg(program)
                    .env("HOME", &self.home);
                command
            }
        };
        for variable in Conninfo::child_environment_cleared() {
            command.env_remove(variable);
        }
        command
            .env_remove("PGDATA")
            .env("LC_ALL", "C")
            .env("PGCLIENTENCODING", "UTF8")
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// Makes a folder of this account that nobody else reads, unless it is there.
    pub(crate) fn make_folder(&self, path: &Path) -> Result<(), PhysicalError> {
        if path.is_dir() {
            return self.own(path);
        }
        let made = fs::DirBuilder::new().mode(0o700).create(path);
        made.at("making", path)?;
        self.own(path)
    }

    /// Hands a file or folder to this account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), PhysicalError> {
        match self.change_to {
            None => Ok(()),
            Some(Ids { user, group }) => {
                chown(path, Some(user), Some(group)).at("handing over", path)
            }
        }
    }

    /// Writes a file, durably and as a whole, that this account owns and only it reads.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), PhysicalError> {
        let unfinished = path.with_extension("trunkline-unfinished");
        let doing = "writing";
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .at(doing, &unfinished)?;
        file.write_all(content).at(doing, &unfinished)?;
        file.sync_all().at(doing, &unfinished)?;
        let private = Permissions::from_mode(0o600);
        fs::set_permissions(&unfinished, private).at(doing, &unfinished)?;
        self.own(&unfinished)?;
        fs::rename(&unfinished, path).at(doing, path)?;
        sync_folder_of(path)
    }
}

/// Makes durable that a file is in its folder, or gone from it.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), PhysicalError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.at("syncing", folder)
}

/// The user database's line, by name or number: `name:x:uid:gid:comment:home:shell`.
async fn known_user(key: &str) -> Result<Account, PhysicalError> {
    let unknown = |why: &str| PhysicalError::Account {
        user: key.to_owned(),
        why: why.to_owned(),
    };
    let output = Command::new("getent").args(["passwd", key]).output().await;
    let text = match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        // Where there is no getent (macOS), a process that changes nothing needs no numbers.
        Err(_) if !rustix::process::geteuid().is_root() => {
            let name = std::env::var("USER").unwrap_or_else(|_| key.to_owned());
            format!("{name}:x:::::")
        }
        Err(cause) => return Err(unknown(&format!("getent cannot be run: {cause}"))),
    };
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<&str> = line.split(':').collect();
    let (Some(user), Some(home)) = (fields.first(), fields.get(5)) else {
        return Err(unknown("this machine does not know it"));
    };
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
    Ok(Account {
        user: (*user).to_owned(),
        change_to: number(2)
            .zip(number(3))
            .map(|(user, group)| Ids { user, group }),
        home: PathBuf::from(home),
    })
}
