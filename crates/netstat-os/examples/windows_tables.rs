//! How long a list of Windows' tables takes without the calls: `cargo run --release -p netstat-os --example windows_tables [ROWS]`.
//! The tables are made up, with as many rows as asked for (default 100,000): half of them TCP, half of them over IPv6.

use std::time::Instant;

use netstat_model::{Family, sort_classic};
use netstat_os::windows::parse::{Row, tcp, udp};

/// A table of `count` rows of `size` bytes; the ports count up.
fn table(count: u32, size: usize, port: usize) -> Vec<u8> {
    let mut table = vec![0; 8 + count as usize * size];
    table[..4].copy_from_slice(&count.to_le_bytes());
    for (number, row) in table[8..].chunks_exact_mut(size).enumerate() {
        row[port..port + 2].copy_from_slice(&(number as u16).to_be_bytes());
        let identity = (number as u64 + 133_000_000_000_000_000).to_le_bytes();
        row[size - 136..size - 128].copy_from_slice(&identity);
        // TCP rows: in ESTABLISHED.
        match size {
            160 if port == 8 => row[..4].copy_from_slice(&5u32.to_le_bytes()),
            192 => row[48..52].copy_from_slice(&5u32.to_le_bytes()),
            _ => {}
        }
    }
    table
}

fn main() {
    let rows: u32 = std::env::args()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(100_000);
    let quarter = rows / 4;
    let tables = [
        (Family::V4, true, table(quarter, 160, 8)),
        (Family::V6, true, table(quarter, 192, 20)),
        (Family::V4, false, table(quarter, 160, 4)),
        (Family::V6, false, table(quarter, 176, 20)),
    ];
    let mut times = Vec::new();
    for _ in 0..15 {
        let begun = Instant::now();
        let mut sockets = Vec::with_capacity(rows as usize);
        for (family, is_tcp, table) in &tables {
            let mut visit = |row: Row| sockets.push(row.socket(row.identity(0)));
            let read = match is_tcp {
                true => tcp(table, *family, &mut visit),
                false => udp(table, *family, &mut visit),
            };
            read.expect("a whole table");
        }
        let parsed = begun.elapsed();
        sort_classic(&mut sockets);
        times.push((parsed, begun.elapsed(), sockets.len()));
    }
    times.sort();
    let (parsed, sorted, count) = times[times.len() / 2];
    println!(
        "{count} rows: {parsed:.1?} to read, {sorted:.1?} with sorting (median of {})",
        times.len()
    );
}
