"""The tables, as numbered migrations: what stands here was shipped and is never edited, only added to."""

Migration = tuple[str, ...]

SQLITE: tuple[Migration, ...] = (
    (
        # who is alive: a node renews its row, others take over when it lapsed
        "create table nodes(id text primary key, lease_until real not null)",
        # the fencing number of a target; grows with every claim of a run
        "create table targets(id text primary key, epoch integer not null default 0)",
        """create table runs(
            id text primary key, target text not null, project text not null, service text not null,
            environment text not null, verb text not null, version text, subject text not null,
            request_key text not null, program text not null, args text not null, plan_hash text, state text not null,
            owner text, epoch integer not null default 0,
            created_at real not null, updated_at real not null, ended_at real)""",
        # the lock: one run a target between the gate and its end
        """create unique index one_run_a_target on runs(target)
            where state in ('RUNNING', 'PROMOTING', 'BAKING', 'PAUSED', 'ABORTING')""",
        """create unique index one_open_run_a_request on runs(request_key)
            where state not in ('SUCCEEDED', 'DRY_RUN', 'ROLLED_BACK', 'FAILED_NO_CHANGE', 'NEEDS_OPERATOR')""",
        "create index runs_of_a_target on runs(target, created_at)",
        "create index runs_by_age on runs(created_at)",
        "create index runs_not_over on runs(created_at) where ended_at is null",
        # position orders the rows of all runs; (run, seq) is the place in a run's chain
        """create table journal(
            position integer primary key, run text not null, seq integer not null, epoch integer not null,
            at real not null, kind text not null, key text not null, payload text not null,
            prev_hash text not null, hash text not null, unique(run, seq))""",
        "create index journal_by_kind on journal(run, kind)",
        """create trigger journal_rows_stay before update on journal
            begin select raise(abort, 'the journal is append-only'); end""",
        """create trigger journal_rows_last before delete on journal
            begin select raise(abort, 'the journal is append-only'); end""",
        # the one state of a long observation, overwritten
        """create table checkpoints(
            run text not null, key text not null, at real not null, state text not null, primary key(run, key))""",
        # taken_by: the step that took it; held: it is given back if that step starts again before it saved
        """create table signals(
            id integer primary key, run text not null, name text not null, payload text not null,
            sent_by text not null, at real not null, taken_by text, held integer not null default 0)""",
        "create index signals_of_a_run on signals(run, name)",
        """create table approvals(
            id text primary key, run text not null, target text not null, plan_hash text not null,
            baseline text not null, state text not null, question_id text not null unique,
            question_spent integer not null default 0, question text not null, command text not null,
            asked_at real not null, wait_until real not null, grade text, granted_by text, channel text,
            unattended integer not null default 0, granted_at real, expires_at real, used_by text, why text)""",
        "create index approvals_of_a_run on approvals(run)",
        "create index approvals_by_state on approvals(state)",
        """create table outbox(
            id integer primary key, run text not null, event text not null, channel text not null, label text not null,
            message text not null, idempotency_key text not null unique, state text not null,
            attempts integer not null default 0, due_at real not null, next_at real not null,
            receipt text not null default '')""",
        "create index outbox_due on outbox(next_at) where state = 'queued'",
    ),
)
