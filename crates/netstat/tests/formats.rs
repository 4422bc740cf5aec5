//! Machine-readable formats, columns, order and groups: read by other programs, validated against the published
//! schemas, compared with what the kernel reports.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};

use netstat_testkit::actors::{self, Actor};
use netstat_testkit::peer::Family;
use netstat_testkit::states::AllStates;
use netstat_testkit::{Netstat, own_namespace, skip};
use serde_json::Value;

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

#[track_caller]
fn stdout(words: &str) -> String {
    netstat().run(words.split_whitespace()).success().to_owned()
}

#[track_caller]
fn document(words: &str) -> Value {
    let text = stdout(words);
    let document: Value = serde_json::from_str(&text).unwrap();
    valid("sockets", &document);
    document
}

fn rows(document: &Value) -> &Vec<Value> {
    document["rows"].as_array().unwrap()
}

/// Validates `value` against a published schema.
#[track_caller]
fn valid(schema: &str, value: &Value) {
    let path = format!("{}/../../docs/schema/netstat.{schema}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}\n{value:#}");
}

/// Returns what `program` prints when it reads `input`; `None` if it is not installed.
fn through(program: &str, words: &[&str], input: &str) -> Option<String> {
    let child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(_) => {
            skip("formats", &format!("{program} is not installed"));
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{program} {words:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_format_has_the_same_rows() {
    own_namespace!();
    let _v4 = AllStates::make(Family::V4).unwrap();
    let _v6 = AllStates::make(Family::V6).unwrap();
    let _udp = actors::udp_sockets().unwrap();
    let document = document("-aqo --json");
    let listed = rows(&document);
    assert!(listed.len() > 20, "{}", listed.len());
    let lines: Vec<Value> = stdout("-aqo --ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), listed.len());
    for (line, row) in lines.iter().zip(listed) {
        valid("sockets-line", line);
        for (name, value) in row.as_object().unwrap() {
            assert_eq!(&line[name], value, "{name}");
            let reason = line["limits"].get(name);
            assert_eq!(
                value.is_null(),
                reason.is_some(),
                "{name}: null exactly where a reason is told: {line}"
            );
        }
    }
    // Every null in the document has its reason in the document, too.
    for row in listed {
        for (name, _) in row.as_object().unwrap().iter().filter(|(_, value)| value.is_null()) {
            let told = document["limits"]
                .as_array()
                .unwrap()
                .iter()
                .any(|limit| limit["column"] == name.as_str());
            assert!(told, "{name} is null for no reason");
        }
    }
    let csv = stdout("-aqo --csv");
    let script = "import csv,json,sys; print(json.dumps(list(csv.DictReader(sys.stdin))))";
    if let Some(read) = through("python3", &["-c", script], &csv) {
        let read: Vec<Value> = serde_json::from_str(&read).unwrap();
        assert_eq!(read.len(), listed.len());
        for (record, row) in read.iter().zip(listed) {
            for (name, value) in row.as_object().unwrap() {
                let field = record[name].as_str().unwrap();
                match value {
                    Value::Null => assert_eq!(field, "", "{name}"),
                    Value::String(text) => assert_eq!(field, text, "{name}"),
                    Value::Array(_) => {}
                    value => assert_eq!(field, value.to_string(), "{name}"),
                }
            }
        }
    }
    let text = stdout("-aqo --json");
    if let Some(count) = through("jq", &[".rows | length"], &text) {
        assert_eq!(count.trim(), listed.len().to_string());
    }
}

#[test]
fn json_of_all_columns_follows_the_schema() {
    own_namespace!();
    let _v4 = AllStates::make(Family::V4).unwrap();
    let _mapped = actors::mapped().unwrap();
    let help = stdout("--columns help");
    let names: Vec<&str> = help.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    let all = format!("-aq --json --columns {}", names.join(","));
    let document = document(&all);
    assert_eq!(rows(&document)[0].as_object().unwrap().len(), names.len());
    let mapped = rows(&document).iter().filter(|row| row["mapped"] == true).count();
    assert!(mapped >= 1);
    for row in rows(&document).iter().filter(|row| row["mapped"] == true) {
        assert_eq!(row["family"], "IPv6");
        assert!(row["foreign_address"].as_str().unwrap().starts_with("127."), "{row}");
    }
}

#[test]
fn hostile_names_never_break_a_format() {
    own_namespace!();
    let name = std::ffi::OsStr::new("we\"b,\n\u{1b}[2J\u{202e}'\\");
    let holder = Actor::named(name).hold(TcpListener::bind("127.0.0.1:80").unwrap());
    let words = "-lt --columns pid,program,local --program";
    let run = |format: &str| {
        let mut all: Vec<&str> = words.split(' ').collect();
        all.push("*[2J*");
        all.push(format);
        netstat().run(all).success().to_owned()
    };
    let text = run("--json");
    let plain = |text: &str| {
        text.chars()
            .all(|c| c == '\n' || c == '\r' || !(c.is_control() || c == '\u{202e}'))
    };
    assert!(plain(&text), "{text:?}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["rows"][0]["program"], name.to_str().unwrap());
    assert_eq!(document["rows"][0]["pid"], holder.pid());
    let csv = run("--csv");
    assert!(plain(&csv) && csv.lines().count() == 2, "{csv:?}");
    let table = run("--color=never");
    assert!(plain(&table) && table.lines().count() == 2, "{table:?}");
}

#[test]
fn sort_top_and_group_options_shape_the_rows() {
    own_namespace!();
    let _listeners: Vec<TcpListener> = [9, 300, 20]
        .map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap())
        .into();
    let _udp = UdpSocket::bind("127.0.0.1:53").unwrap();
    let ports = |words: &str| -> Vec<u64> {
        rows(&document(&format!("-an --json {words}")))
            .iter()
            .map(|row| row["local_port"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(ports("--sort local_port"), [9, 20, 53, 300]);
    assert_eq!(ports("--sort -local_port --top 2"), [300, 53]);
    // UDP has no state, and unknown values come last in either direction.
    assert_eq!(ports("--sort state,-local_port"), [300, 20, 9, 53]);
    assert_eq!(ports("--sort -state,local_port"), [9, 20, 300, 53]);
    let groups = document("-an --json --group protocol,state");
    let shown: Vec<(u64, &str)> = rows(&groups)
        .iter()
        .map(|row| (row["count"].as_u64().unwrap(), row["protocol"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [(3, "TCP"), (1, "UDP")]);
    assert_eq!(
        stdout("-an --group protocol,state --sort count --color never"),
        "Count  Proto  State\n    1  UDP    -\n    3  TCP    LISTENING\n"
    );
    // The classic layout keeps its columns in any order of rows.
    let text = stdout("-an --sort -local_port --top 1");
    assert!(
        text.contains("\n  TCP    127.0.0.1:300          0.0.0.0:0              LISTENING\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 5);
}

/// The metrics of an idle connection do not change between two samples.
#[test]
fn tcp_metrics_agree_with_ss() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let mut near = TcpStream::connect("127.0.0.1:80").unwrap();
    let (mut far, _) = listener.accept().unwrap();
    for size in [1usize, 100, 5000] {
        near.write_all(&vec![7; size]).unwrap();
        std::io::Read::read_exact(&mut far, &mut vec![0; size]).unwrap();
    }
    let port = near.local_addr().unwrap().port();
    // The last acknowledgement may be delayed by 40 ms.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let words = format!(
        "-n --json --local :{port} --columns rtt,rttvar,min_rtt,cwnd,mss,pmtu,bytes_sent,bytes_acked,congestion"
    );
    let document = document(&words);
    let [row] = rows(&document).as_slice() else {
        panic!("{document:#}")
    };
    assert_eq!(row["bytes_sent"], 5101);
    let Ok(output) = Command::new("ss")
        .args(["-tinH", "sport", "=", &format!(":{port}")])
        .output()
    else {
        return skip("formats", "ss is not installed");
    };
    let ss = String::from_utf8(output.stdout).unwrap();
    let figure = |name: &str| {
        let word = ss
            .split_whitespace()
            .find_map(|word| word.strip_prefix(&format!("{name}:")));
        word.unwrap_or_else(|| panic!("{name} in {ss}")).to_owned()
    };
    let milliseconds = |micros: &Value| micros.as_f64().unwrap() / 1000.0;
    let rtt = figure("rtt");
    let (rtt, rttvar) = rtt.split_once('/').unwrap();
    assert_eq!(milliseconds(&row["rtt"]), rtt.parse::<f64>().unwrap());
    assert_eq!(milliseconds(&row["rttvar"]), rttvar.parse::<f64>().unwrap());
    assert_eq!(milliseconds(&row["min_rtt"]), figure("minrtt").parse::<f64>().unwrap());
    for (column, name) in [
        ("cwnd", "cwnd"),
        ("mss", "mss"),
        ("pmtu", "pmtu"),
        ("bytes_sent", "bytes_sent"),
    ] {
        assert_eq!(row[column].to_string(), figure(name), "{column}");
    }
    assert!(ss.split_whitespace().any(|word| row["congestion"] == word), "{ss}");
}

#[test]
fn colours_appear_only_on_a_terminal() {
    own_namespace!();
    let _listener = TcpListener::bind("127.0.0.1:80").unwrap();
    let escapes = |words: &str, environment: &[(&str, &str)]| {
        let mut command = netstat().command(words.split_whitespace());
        command.envs(environment.iter().copied());
        netstat_testkit::outcome(&mut command).stdout.contains('\u{1b}')
    };
    for words in ["-an", "-an --wide"] {
        assert!(!escapes(words, &[]), "{words}: a pipe is no terminal");
        assert!(!escapes(&format!("{words} --color never"), &[]));
        assert!(escapes(&format!("{words} --color always"), &[]));
        // An explicit option takes precedence over the environment.
        assert!(escapes(&format!("{words} --color always"), &[("NO_COLOR", "1")]));
    }
    let painted = stdout("-an --color always");
    let plain: String = painted.replace("\u{1b}[34m", "").replace("\u{1b}[0m", "");
    assert_eq!(plain, stdout("-an"), "colours move nothing");
}
