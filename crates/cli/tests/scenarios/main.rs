//! Whole scenarios through the real binary, on real servers, with writers that do not stop.

#[path = "../scene/mod.rs"]
mod scene;

mod backlog;
mod bad_input;
mod big_transaction;
mod clone;
mod commands_together;
mod compare_alone;
mod compare_alone_chosen;
mod compare_alone_rights;
mod consumers;
mod cutover;
mod ddl;
mod decoder;
mod ending;
mod held_up;
mod idle;
mod interruptions;
mod made_relay;
mod made_standby;
mod many_tables;
mod plain_roles;
mod regressions;
mod rehearsals;
mod relay;
mod replica;
mod reports;
mod row_filters;
mod row_validation;
mod seeded;
mod stranded_copies;
mod subscription;
mod subset;
mod switching;
mod switching_deadlines;
mod switching_faults;
mod tampered;
mod transformations;
mod validation;
mod verify;
mod verify_scope;
mod versions;
mod way_back;
mod way_back_faults;
mod whole_move;
