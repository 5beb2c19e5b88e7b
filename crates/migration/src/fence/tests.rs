//! The fence on real servers: a database with an owner, an application's roles, and Trunkline
//! as a plain role or a superuser.

mod exactly;
mod gates;
mod raised;
mod standing;

use std::time::Duration;

use tokio::time::Instant;
use trunkline_changes::Side;
use trunkline_postgres::{Conninfo, PgError, Session};
use trunkline_testkit::Cluster;

use super::{Fence, FenceBefore, FenceError, WritesFenced};

const DATABASE: &str = "The App";

/// As whom Trunkline works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Plain,
    Superuser,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Plain => "trunkline",
            Role::Superuser => "postgres",
        }
    }
}

/// Roles as SECURITY.md makes them, and an application's: its owner logs in itself, `admin`
/// may grant on, and `chatty` switches the default off for itself.
const ROLES: &str = "
    CREATE ROLE app_owner LOGIN; CREATE ROLE admin LOGIN; CREATE ROLE reader LOGIN;
    CREATE ROLE \"Chatty\" LOGIN; ALTER ROLE \"Chatty\" SET default_transaction_read_only = off;
    CREATE ROLE trunkline LOGIN REPLICATION;
    GRANT app_owner, pg_signal_backend, pg_read_all_stats TO trunkline;";

/// What is set on the database before the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    /// Nobody ever granted anything: `datacl` is null.
    Untouched,
    /// Rights by several grantors, a limit, and settings.
    Elaborate,
}

const ELABORATE: &str = "
    GRANT CONNECT, CREATE ON DATABASE \"The App\" TO trunkline;
    REVOKE CONNECT ON DATABASE \"The App\" FROM PUBLIC;
    GRANT CONNECT ON DATABASE \"The App\" TO \"Chatty\";
    GRANT CONNECT, CREATE ON DATABASE \"The App\" TO admin WITH GRANT OPTION;
    GRANT admin TO trunkline;
    SET ROLE admin; GRANT CONNECT ON DATABASE \"The App\" TO reader; RESET ROLE;
    ALTER DATABASE \"The App\" CONNECTION LIMIT 23;
    ALTER DATABASE \"The App\" SET work_mem = '5MB';
    ALTER DATABASE \"The App\" SET default_transaction_read_only = 'off';
    ALTER DATABASE \"The App\" SET lock_timeout = '5s';";

struct Scene {
    cluster: Cluster,
    role: Role,
}

impl Scene {
    fn new(major: u32, role: Role, rights: Rights) -> Scene {
        let cluster = Cluster::start(major);
        cluster.psql("postgres", ROLES);
        cluster.psql("postgres", "CREATE DATABASE \"The App\" OWNER app_owner");
        if rights == Rights::Elaborate {
            cluster.psql("postgres", ELABORATE);
        }
        cluster.psql(
            DATABASE,
            "CREATE TABLE public.t (a int); GRANT ALL ON public.t TO PUBLIC",
        );
        Scene { cluster, role }
    }

    fn conninfo(&self, role: &str, database: &str) -> Conninfo {
        let uri = self.cluster.uri(database);
        let uri = uri.replace("postgres@", &format!("{role}@"));
        Conninfo::resolve(&uri).expect("a URI")
    }

    async fn enter(&self, role: &str, database: &str) -> Result<Session, PgError> {
        Session::connect(&self.conninfo(role, database), "test").await
    }

    /// A session of Trunkline's role.
    async fn ours(&self, database: &str) -> Session {
        let entered = self.enter(self.role.name(), database).await;
        entered.expect("our role comes in")
    }

    /// Everything that the fence may change, as the server has it.
    fn state(&self) -> String {
        self.cluster.psql(
            "postgres",
            "SELECT d.datconnlimit, d.datallowconn,
                    (SELECT string_agg(concat_ws(' ', g.grantor::regrole, g.grantee::regrole,
                                                 g.privilege_type, g.is_grantable), ', '
                                       ORDER BY g.grantor, g.grantee, g.privilege_type)
                       FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS g),
                    (SELECT string_agg(s.setrole || ':' || s.setconfig::text, ', ')
                       FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)
               FROM pg_database d WHERE d.datname = 'The App'",
        )
    }

    /// Why a role does not come in.
    async fn refusal(&self, role: &str) -> Option<String> {
        match self.enter(role, DATABASE).await {
            Ok(_) => None,
            Err(error) => error.sqlstate().map(|state| state.as_str().to_owned()),
        }
    }
}

/// The hands on a scene's database.
struct Hands {
    inside: Session,
    outside: Session,
    ours: Vec<i32>,
    conninfo: Conninfo,
    before: FenceBefore,
}

impl Hands {
    async fn of(scene: &Scene, outside: &str) -> Hands {
        let (mut inside, outside) = (scene.ours(DATABASE).await, scene.ours(outside).await);
        let before = super::settings_before(&mut inside, Side::Target).await;
        Hands {
            ours: vec![inside.process_id(), outside.process_id()],
            before: before.expect("the settings can be read"),
            conninfo: scene.conninfo(scene.role.name(), DATABASE),
            inside,
            outside,
        }
    }

    fn fence(&mut self) -> Fence<'_> {
        Fence {
            side: Side::Target,
            inside: &mut self.inside,
            outside: &mut self.outside,
            ours: &self.ours,
            conninfo: &self.conninfo,
        }
    }

    async fn raise(&mut self, within: Duration) -> Result<WritesFenced, FenceError> {
        let before = self.before.clone();
        self.fence().raise(&before, Instant::now() + within).await
    }

    async fn raised(&mut self) -> WritesFenced {
        let raised = self.raise(Duration::from_secs(30)).await;
        raised.expect("the fence is raised")
    }

    async fn lift(&mut self) {
        let lifted = super::lift(&mut self.outside, Side::Target, &self.before).await;
        lifted.expect("the fence is lifted");
    }

    async fn stand(&mut self) -> super::AfterSwitch {
        let stands = super::stand(&mut self.outside, Side::Target, &self.before).await;
        stands.expect("the fence stands")
    }
}
