//! Prints the service names of ports: `cargo run -p netstat-names --example services -- 22 443`.

use netstat_model::Protocol;
use netstat_names::Services;

fn main() {
    let services = Services::system();
    for word in std::env::args().skip(1) {
        let Ok(port) = word.parse::<u16>() else {
            eprintln!("{word:?} is not a port number");
            std::process::exit(2);
        };
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let name = services.name(protocol, port).unwrap_or("-");
            println!("{port} {}: {name}", protocol.name());
        }
    }
}
