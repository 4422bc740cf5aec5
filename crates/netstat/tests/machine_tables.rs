//! `-e`, `-s`, `-r` and `-c` in machine-readable formats: read by other programs, validated against the published
//! schema, compared with what the kernel reports.
#![cfg(target_os = "linux")]

use std::net::TcpListener;
use std::process::Command;

use netstat_testkit::{Netstat, have, outcome, own_namespace};
use serde_json::Value;

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

#[track_caller]
fn stdout(words: &str) -> String {
    netstat().run(words.split_whitespace()).success().to_owned()
}

/// Parses and validates a document.
#[track_caller]
fn read(text: &str) -> Value {
    let document: Value = serde_json::from_str(text).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../../docs/schema/netstat.tables.json")).unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{document:#}");
    document
}

#[track_caller]
fn document(words: &str) -> Value {
    read(&stdout(words))
}

fn names(document: &Value) -> Vec<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Sends a datagram over loopback, so that counters are not 0.
fn traffic() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    socket.recv(&mut [0; 8]).unwrap();
}

#[test]
fn json_document_has_a_member_for_each_part_and_the_list_last() {
    own_namespace!();
    let frame = ["schema", "version", "host", "time"];
    for (words, parts) in [
        ("-e --json", &["ethernet"][..]),
        ("-s --json", &["statistics"]),
        ("-r --json", &["routes"]),
        ("-c --json", &["processes"]),
        ("-rse --json", &["ethernet", "statistics", "routes"]),
        (
            "-acrse --json",
            &["ethernet", "statistics", "routes", "processes", "rows"],
        ),
        ("-s -p tcp --json", &["statistics", "rows"]),
        ("-e --ndjson", &["ethernet"]),
        ("-s --verbose --json", &["statistics"]),
        ("-r --table all --json", &["routes"]),
    ] {
        let document = document(words);
        assert_eq!(document["schema"], "netstat.tables", "{words}");
        assert_eq!(names(&document), [&frame, parts, &["limits"]].concat(), "{words}");
    }
    // On its own, the list is unchanged.
    let list: Value = serde_json::from_str(&stdout("-a --json")).unwrap();
    assert_eq!(list["schema"], "netstat.sockets");
}

#[test]
fn json_unknown_figure_is_null_with_a_reason() {
    own_namespace!();
    let document = document("-e --json");
    let limits = document["limits"].as_array().unwrap();
    let loopback = document["ethernet"]["interfaces"][0].as_object().unwrap();
    let mut nulls = 0;
    for (name, _) in loopback.iter().filter(|(_, value)| value.is_null()) {
        nulls += 1;
        let told = limits
            .iter()
            .any(|limit| limit["column"] == name.as_str() && limit["why"].is_string());
        assert!(told, "{name} is null for no reason: {limits:?}");
    }
    assert!(nulls > 0, "Linux does not tell unicast from the rest");
}

#[test]
fn json_counters_are_those_of_the_kernel() {
    own_namespace!();
    traffic();
    let document = document("-s --verbose --json");
    let statistics = &document["statistics"];
    let netstat = std::fs::read_to_string("/proc/net/netstat").unwrap();
    let snmp = std::fs::read_to_string("/proc/net/snmp").unwrap();
    let figure = |text: &str, group: &str, name: &str| -> i64 {
        let mut lines = text.lines().filter(|line| line.starts_with(&format!("{group}: ")));
        let heads: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        let values: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        values[heads.iter().position(|head| *head == name).unwrap()]
            .parse()
            .unwrap()
    };
    // There is no other traffic in this namespace in the meantime.
    assert_eq!(
        statistics["blocks"]["udpv4"]["datagrams_received"],
        figure(&snmp, "Udp", "InDatagrams")
    );
    assert!(figure(&snmp, "Udp", "InDatagrams") > 0);
    assert_eq!(statistics["groups"]["Tcp"]["MaxConn"], figure(&snmp, "Tcp", "MaxConn"));
    assert_eq!(
        statistics["groups"]["IpExt"]["InOctets"],
        figure(&netstat, "IpExt", "InOctets")
    );
    // Counters that are 0 are present, too.
    assert_eq!(statistics["groups"]["TcpExt"]["ListenDrops"], 0);
}

#[test]
fn json_rates_come_with_the_second_print() {
    own_namespace!();
    traffic();
    let text = stdout("-se --rates --ndjson 1 --count 2");
    let documents: Vec<Value> = text.lines().map(read).collect();
    assert_eq!(documents.len(), 2);
    let udp = |at: usize| &documents[at]["statistics"]["rates"]["blocks"]["udpv4"]["datagrams_received"];
    assert!(udp(0).is_null() && udp(1).is_number(), "{text}");
    let why: Vec<&str> = documents[0]["limits"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|limit| limit["what"].as_str().unwrap().contains("per second"))
        .map(|limit| limit["why"].as_str().unwrap())
        .collect();
    assert!(
        !why.is_empty() && why.iter().all(|why| *why == "nothing to tell yet"),
        "{why:?}"
    );
    let sum = &documents[1]["ethernet"]["sum"];
    assert!(sum["bytes_received_per_second"].is_number(), "{sum}");
}

#[test]
fn json_routes_agree_with_ip() {
    own_namespace!();
    if !have("ip") {
        return;
    }
    let ip = |words: &[&str]| outcome(netstat_testkit::tool("ip").args(words)).success().to_owned();
    ip(&["link", "add", "left", "type", "veth", "peer", "name", "right"]);
    ip(&["address", "add", "192.0.2.1/24", "dev", "left"]);
    ip(&["link", "set", "left", "up"]);
    ip(&["route", "add", "198.51.100.0/24", "via", "192.0.2.9", "metric", "7"]);
    ip(&["route", "add", "blackhole", "203.0.113.0/24"]);
    let document = document("-r --json");
    let rows = document["routes"]["rows"].as_array().unwrap();
    let row = |destination: &str| rows.iter().find(|row| row["destination"] == destination).unwrap();
    let via = row("198.51.100.0/24");
    assert_eq!(
        (&via["gateway"], &via["interface"], &via["metric"], &via["kind"]),
        (&"192.0.2.9".into(), &"left".into(), &7.into(), &"unicast".into())
    );
    assert_eq!(row("203.0.113.0/24")["kind"], "blackhole");
    assert_eq!(row("192.0.2.0/24")["preferred_source"], "192.0.2.1");
    let left = document["routes"]["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .find(|interface| interface["name"] == "left")
        .unwrap();
    assert_eq!(left["kind"], "veth");
    assert_eq!(left["addresses"][0]["address"], "192.0.2.1");
    // The same rows as CSV.
    if have("python3") {
        let script = "import csv,json,sys; print(json.dumps(list(csv.DictReader(open(sys.argv[1], newline='')))))";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), stdout("-r --csv")).unwrap();
        let read = outcome(Command::new("python3").args(["-c", script]).arg(file.path()));
        let read: Vec<Value> = serde_json::from_str(read.success()).unwrap();
        assert_eq!(read.len(), rows.len());
        for (record, row) in read.iter().zip(rows) {
            for (name, value) in row.as_object().unwrap() {
                let expected = match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    value => value.to_string(),
                };
                assert_eq!(record[name], expected.as_str(), "{name} of {row}");
            }
        }
    }
}

#[test]
fn csv_of_interfaces_has_a_row_for_each() {
    own_namespace!();
    traffic();
    let csv = stdout("-e --csv");
    let mut lines = csv.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("name,index,mac,loopback,bytes_received,bytes_sent,")
    );
    let loopback: Vec<&str> = lines.find(|line| line.starts_with("lo,")).unwrap().split(',').collect();
    assert_eq!(loopback[1..4], ["1", "", "true"]);
    let counted: u64 = loopback[4].parse().unwrap();
    assert!(counted > 0, "{csv}");
    // There is exactly one heading, whatever is printed.
    let twice = stdout("-e --csv 1 --count 2");
    assert_eq!(twice.matches("name,index").count(), 1, "{twice}");
}

#[test]
fn json_processes_count_the_ports_they_hold() {
    own_namespace!();
    let listeners = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let document = document("-c --json");
    let own = std::process::id();
    let rows = document["processes"].as_array().unwrap();
    let row = rows.iter().find(|row| row["pid"] == own).unwrap();
    assert_eq!(
        (&row["tcp_ports"], &row["udp_ports"]),
        (&listeners.len().into(), &0.into())
    );
    let program = std::env::current_exe().unwrap();
    assert_eq!(row["program"], program.file_name().unwrap().to_str().unwrap());
}

#[test]
fn json_documents_are_read_by_jq() {
    own_namespace!();
    if !have("jq") {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), stdout("-rse --json")).unwrap();
    let query =
        ".statistics.blocks.tcpv4.current_connections, (.ethernet.interfaces | map(select(.name == \"lo\")) | length)";
    let answer = outcome(netstat_testkit::tool("jq").arg(query).arg(file.path()));
    assert_eq!(answer.success(), "0\n1\n");
}

#[test]
fn parts_that_cannot_be_one_table_are_refused() {
    for (words, told) in [
        ("-s --csv", "--csv is for the connection list, -e and -r; -s has --json"),
        ("-c --csv", "--csv is for the connection list, -e and -r; -c has --json"),
        (
            "-e -r --csv",
            "--csv has one kind of rows, not those of -e and -r together",
        ),
        (
            "-a -e --csv",
            "--csv has one kind of rows: either the connection list or -e; --json has all in one document",
        ),
        (
            "-a -s --ndjson",
            "--ndjson has one kind of rows: either the connection list or -s; --json has all in one document",
        ),
    ] {
        let outcome = netstat().run(words.split(' '));
        assert_eq!(outcome.refusal(), format!("netstat: {told}"), "{words}");
    }
}
