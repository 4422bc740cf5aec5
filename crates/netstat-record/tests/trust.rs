//! Tests of files that must not be used as a record, stores that were tampered with or vanish, and wrong clocks.
#![cfg(target_os = "linux")]

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State, Why};
use netstat_record::{Flow, NewFlow, Question, Reader, Recorder, Retention, StoreError, Writer, millis};
use rusqlite::Connection;

const BOOT: &str = "5e0fd2f6-6d1c-4a2a-9b64-0d7e2d1a9c01";
const SECOND: u64 = 1_000_000_000;
const DAY: i64 = 86_400_000;

fn wall(since_boot: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_nanos(since_boot)
}

fn open(path: &Path) -> Result<Writer, StoreError> {
    Writer::open(path, b"mill", BOOT)
}

fn refused(path: &Path) -> String {
    open(path).unwrap_err().to_string()
}

fn new_flow(first: i64) -> NewFlow {
    let address = |last: u8| IpAddr::from([203, 0, 113, last]);
    NewFlow {
        first,
        span: 10,
        closed: true,
        begun: true,
        protocol: Protocol::Tcp,
        family: Family::V4,
        local: (address(1), 40_000),
        foreign: (address(7), 443),
        direction: Direction::Outgoing,
        state: State::Established,
        origin: EventOrigin::Trace,
        process: None,
        user: Fact::Known(0),
        namespace: Fact::Unknown(Why::NotAsked),
        sent: Fact::Known(1),
        received: Fact::Known(2),
        retransmits: Fact::Unknown(Why::NotAsked),
        rtt: Fact::Unknown(Why::NotAsked),
        asked_name: None,
    }
}

fn with_flows(path: &Path, firsts: &[i64]) {
    let mut writer = open(path).unwrap();
    let mut batch = writer.batch().unwrap();
    for first in firsts {
        batch.insert(&new_flow(*first), None).unwrap();
    }
    batch.commit().unwrap();
}

fn flows(path: &Path) -> (Vec<Flow>, u64) {
    let mut reader = Reader::open(path).unwrap();
    let mut found = Vec::new();
    reader
        .flows(&Question::default(), &mut |flow| {
            found.push(flow);
            ControlFlow::Continue(())
        })
        .unwrap();
    (found, reader.skipped())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Features that are not compiled in (`.cargo/config.toml`) cannot be reached by a malicious file.
#[test]
fn sqlite_is_built_without_fts_rtree_and_extension_loading() {
    let connection = Connection::open_in_memory().unwrap();
    let mut statement = connection.prepare("PRAGMA compile_options").unwrap();
    let options: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for refused in [
        "ENABLE_FTS3",
        "ENABLE_FTS5",
        "ENABLE_RTREE",
        "ENABLE_DBSTAT_VTAB",
        "ENABLE_STAT4",
    ] {
        assert!(!options.iter().any(|option| option.starts_with(refused)), "{options:?}");
    }
    assert!(
        options.iter().any(|option| option == "OMIT_LOAD_EXTENSION"),
        "{options:?}"
    );
    for module in ["fts3", "fts5", "rtree"] {
        let made = connection.execute(&format!("CREATE VIRTUAL TABLE t USING {module}(a, b, c)"), []);
        assert!(made.unwrap_err().to_string().contains("no such module"));
    }
}

#[test]
fn store_path_of_foreign_file_is_refused_and_file_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost\n".repeat(20)).unwrap();
    set_mode(&hosts, 0o644);
    let other = folder.path().join("other.db");
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t(x)")
        .unwrap();
    set_mode(&other, 0o640);
    let before = std::fs::read(&other).unwrap();
    for (path, what, kept) in [
        (&hosts, "text", 0o644),
        (&other, "an SQLite database of another program", 0o640),
    ] {
        let shown = path.canonicalize().unwrap().display().to_string();
        for message in [refused(path), Reader::open(path).unwrap_err().to_string()] {
            assert_eq!(message, format!("{shown}: not a netstat record but {what}"));
        }
        assert_eq!(mode(path), kept);
    }
    assert_eq!(std::fs::read(&other).unwrap(), before);
    assert_eq!(names(folder.path()), ["hosts", "other.db"]);
}

#[test]
fn store_file_that_others_control_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    with_flows(&path, &[1]);
    let link = folder.path().join("link.db");
    symlink(&path, &link).unwrap();
    assert!(refused(&link).contains("symbolic link"));
    assert!(Reader::open(&link).unwrap_err().to_string().contains("symbolic link"));
    let second_name = folder.path().join("second.db");
    std::fs::hard_link(&path, &second_name).unwrap();
    assert!(refused(&second_name).contains("2 names"));
    std::fs::remove_file(&second_name).unwrap();
    let fifo = folder.path().join("fifo.db");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    assert!(refused(&fifo).contains("FIFO"), "and it does not wait");
    assert!(Reader::open(&fifo).unwrap_err().to_string().contains("FIFO"));
    assert!(refused(folder.path()).contains("directory"));
    set_mode(&path, 0o666);
    assert!(refused(&path).contains("every user may write"));
    set_mode(&path, 0o600);
    // A journal that somebody has put beside the file would be replayed into it.
    let journal = folder.path().join("record.db-journal");
    symlink(folder.path().join("elsewhere"), &journal).unwrap();
    assert!(refused(&path).contains("symbolic link"));
    std::fs::remove_file(&journal).unwrap();
    let lock = folder.path().join("record.db.lock");
    std::fs::remove_file(&lock).unwrap();
    symlink(folder.path().join("elsewhere"), &lock).unwrap();
    assert!(refused(&path).contains("symbolic link"));
    assert!(!folder.path().join("elsewhere").exists());
    std::fs::remove_file(&lock).unwrap();
    set_mode(folder.path(), 0o777);
    assert!(refused(&path).contains("every user may change this directory"));
    // As in /tmp, where nobody can replace the files of others.
    set_mode(folder.path(), 0o1777);
    drop(open(&path).unwrap());
}

#[test]
fn store_file_of_another_user_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    with_flows(&path, &[1]);
    if std::os::unix::fs::chown(&path, Some(65_533), None).is_err() {
        netstat_testkit::skip(
            "the test of stores of others",
            "only the superuser can give a file away",
        );
        return;
    }
    assert!(refused(&path).contains("belongs to the user with the id 65533"));
}

#[test]
fn second_recorder_through_other_path_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let _first = open(&path).unwrap();
    let beside = folder.path().join("beside");
    symlink(folder.path(), &beside).unwrap();
    assert!(matches!(open(&beside.join("record.db")), Err(StoreError::Locked(_))));
    // The lock is on the store itself: without the lock file, it still holds.
    std::fs::remove_file(folder.path().join("record.db.lock")).unwrap();
    assert!(matches!(open(&path), Err(StoreError::Locked(_))));
}

#[test]
fn store_with_foreign_object_is_refused_by_name() {
    for (statement, name) in [
        ("CREATE VIEW v AS SELECT 1", "the view \"v\""),
        (
            "CREATE TRIGGER t AFTER INSERT ON flow BEGIN DELETE FROM flow; END",
            "the trigger \"t\"",
        ),
        ("CREATE TABLE mine(x)", "the table \"mine\""),
        (
            "DROP TABLE gap; CREATE TABLE gap(x, y AS (abs(x)))",
            "the table \"gap\"",
        ),
        ("CREATE INDEX i ON flow(abs(first))", "the index \"i\""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.db");
        with_flows(&path, &[1]);
        Connection::open(&path).unwrap().execute_batch(statement).unwrap();
        for message in [refused(&path), Reader::open(&path).unwrap_err().to_string()] {
            assert!(message.contains(name) && message.contains("did not make"), "{message}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    with_flows(&path, &[1]);
    Connection::open(&path).unwrap().execute_batch("ANALYZE").unwrap();
    assert_eq!(flows(&path).0.len(), 1, "statistics are SQLite's own");
}

#[test]
fn flow_row_with_impossible_values_is_skipped_and_counted() {
    for damage in [
        "UPDATE flow SET kind = 15 << 4 | 1 WHERE id = 2",
        "UPDATE flow SET kind = 1 << 40 WHERE id = 2",
        "UPDATE flow SET remote_port = 70000 WHERE id = 2",
        "UPDATE flow SET span = 'long' WHERE id = 2",
        "UPDATE flow SET remote = 4711 WHERE id = 2",
        "INSERT INTO address(id, bytes) VALUES(99, x'0102'); UPDATE flow SET remote = 99 WHERE id = 2",
        "UPDATE flow SET boot = 4711 WHERE id = 2",
        "UPDATE flow SET span = -5 WHERE id = 2",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.db");
        with_flows(&path, &[1_000, 2_000, 3_000]);
        Connection::open(&path).unwrap().execute_batch(damage).unwrap();
        let (found, skipped) = flows(&path);
        let ids: Vec<i64> = found.iter().map(|flow| flow.id).collect();
        assert_eq!((ids, skipped), (vec![1, 3], 1), "{damage}");
    }
}

/// Returns a recorder with one flow, written at second 1.
fn recorder(path: &Path) -> Recorder {
    let mut recorder = Recorder::new(open(path).unwrap()).unwrap();
    recorder.flush(SECOND, wall(SECOND)).unwrap();
    recorder
}

fn gaps(path: &Path) -> Vec<(i64, i64, String)> {
    let gaps = Reader::open(path).unwrap().gaps(None, None).unwrap();
    gaps.into_iter().map(|gap| (gap.since, gap.until, gap.reason)).collect()
}

#[test]
fn store_that_vanishes_is_begun_anew_within_ten_seconds() {
    type Vanish = fn(&Path);
    let ways: [(&str, Vanish); 4] = [
        ("deleted", |path| std::fs::remove_file(path).unwrap()),
        ("moved", |path| {
            std::fs::rename(path, path.with_extension("old")).unwrap()
        }),
        ("its folder deleted", |path| {
            std::fs::remove_dir_all(path.parent().unwrap()).unwrap()
        }),
        ("its journal deleted", |path| {
            std::fs::remove_file(PathBuf::from(format!("{}-wal", path.display()))).unwrap();
        }),
    ];
    for (what, vanish) in ways {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store/record.db");
        let mut recorder = recorder(&path);
        recorder.lost(1, 2, "before", None);
        for second in 2..8 {
            recorder.flush(second * SECOND, wall(second * SECOND)).unwrap();
        }
        vanish(&path);
        let mut begun_anew = None;
        for second in 8..=17 {
            let flushed = recorder.flush(second * SECOND, wall(second * SECOND)).unwrap();
            if flushed.begun_anew {
                begun_anew.get_or_insert(second);
            }
        }
        let begun_anew = begun_anew.unwrap_or_else(|| panic!("{what}: not noticed"));
        let gaps = gaps(&path);
        let gap = gaps.iter().find(|gap| gap.2.contains("deleted, moved or replaced"));
        let gap = gap.unwrap_or_else(|| panic!("{what}: {gaps:?}"));
        assert!(
            gap.0 <= millis(wall(8 * SECOND)) && gap.1 >= millis(wall(begun_anew * SECOND)),
            "{gap:?}"
        );
        recorder.stop(20 * SECOND, wall(20 * SECOND)).unwrap();
        assert!(
            matches!(open(&path), Err(StoreError::Locked(_))),
            "{what}: the new one is locked"
        );
        assert_eq!(std::fs::metadata(&path).unwrap().nlink(), 1);
    }
}

#[test]
fn retention_with_clock_set_ten_years_ahead_deletes_nothing_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    let now = millis(wall(0));
    let days: Vec<i64> = (1..=29).map(|days| now - days * DAY).collect();
    with_flows(&path, &days);
    let keep = Retention {
        keep: Some(30 * DAY as u64),
        max_size: None,
    };
    let mut recorder = recorder(&path);
    let ahead = Duration::from_secs(3_650 * 86_400);
    for second in 2..3_600 {
        recorder.flush(second * SECOND, wall(second * SECOND) + ahead).unwrap();
        if second % 60 == 0 {
            assert_eq!(recorder.retain(keep).unwrap(), 0);
        }
    }
    let jumps = gaps(&path);
    assert!(
        jumps.iter().any(|gap| gap.2.starts_with("the clock was set forward")),
        "{jumps:?}"
    );
    // In each of the following hours it removes a day's worth.
    let mut removed = 0;
    for second in 3_600..3 * 3_600 {
        recorder.flush(second * SECOND, wall(second * SECOND) + ahead).unwrap();
        if second % 60 == 0 {
            removed += recorder.retain(keep).unwrap();
        }
    }
    assert!((1..=2).contains(&removed), "{removed}");
    // A computer that starts with a wrong clock.
    drop(recorder);
    let writer = Writer::open(&path, b"mill", "another boot").unwrap();
    let mut recorder = Recorder::new(writer).unwrap();
    recorder.flush(SECOND, wall(SECOND) + ahead).unwrap();
    assert_eq!(recorder.retain(keep).unwrap(), 0);
}

#[test]
fn recorder_after_quick_restart_records_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.db");
    // As after kill -9: nothing is written at the end, and another recorder starts at once.
    drop(recorder(&path));
    let mut second = Recorder::new(open(&path).unwrap()).unwrap();
    let later = SECOND + SECOND / 10;
    second.flush(later, wall(later)).unwrap();
    let told: Vec<(i64, i64, String)> = gaps(&path);
    assert_eq!(
        told,
        [(
            millis(wall(SECOND)),
            millis(wall(later)),
            "no recorder was at work".to_owned()
        )]
    );
    // The clock is set back between the second and a third recorder.
    drop(second);
    let mut third = Recorder::new(open(&path).unwrap()).unwrap();
    let hour = Duration::from_secs(3_600);
    third.flush(2 * SECOND, wall(2 * SECOND) - hour).unwrap();
    let told = gaps(&path);
    assert!(
        told.iter().any(|gap| gap.2 == "the clock was set back by 3600.0 s"),
        "{told:?}"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn reader_of_damaged_store_answers_or_returns_error(changes in proptest::collection::vec((0usize..1 << 20, proptest::prelude::any::<u8>()), 1..40)) {
        static RECORD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("record.db");
            with_flows(&path, &(0..300).map(|at| at * 60_000).collect::<Vec<_>>());
            std::fs::read(&path).unwrap()
        });
        let mut bytes = RECORD.clone();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.db");
        std::fs::write(&path, bytes).unwrap();
        set_mode(&path, 0o600);
        if let Ok(mut reader) = Reader::open(&path) {
            let _ = reader.flows(&Question::default(), &mut |_| ControlFlow::Continue(()));
            let _ = (reader.gaps(None, None), reader.oldest(), reader.reach(0), reader.novelties(0));
            let _ = reader.beacon_candidates(0, &netstat_model::Filter::default());
            let _ = reader.open_flows(BOOT, &|_| true);
        }
        let _ = open(&path).map(|writer| writer.left_open().is_ok());
    }
}
