//! The exact layout of `-r`, from made-up data.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;

use netstat::output::classic::routes::{RoutesOptions, write};
use netstat_model::route::{
    Interface, InterfaceAddress, NextHop, Prefix, Route, RouteKind, RouteListing, RouteProtocol, Scope, TABLE_LOCAL,
    TABLE_MAIN, TableNames, TableSelection,
};
use netstat_model::{Fact, Why};

fn interface(index: u32, name: &str, link_address: &[u8]) -> Interface {
    Interface {
        index: NonZeroU32::new(index).unwrap(),
        name: name.into(),
        alias: None,
        kind: None,
        driver: Fact::Unknown(Why::NotApplicable),
        product: Fact::Unknown(Why::NotApplicable),
        hardware_type: 1,
        link_address: link_address.to_vec(),
        flags: 1,
        mtu: Fact::Known(1500),
        master: None,
    }
}

fn address(interface: u32, address: &str, prefix_length: u8) -> InterfaceAddress {
    let address: IpAddr = address.parse().unwrap();
    let scope = if address.is_loopback() {
        Scope::HOST
    } else {
        Scope::UNIVERSE
    };
    InterfaceAddress {
        interface,
        address,
        peer: None,
        prefix_length,
        scope,
        flags: 0,
    }
}

fn hop(interface: u32, gateway: &str) -> NextHop {
    NextHop {
        gateway: (!gateway.is_empty()).then(|| gateway.parse().unwrap()),
        interface: NonZeroU32::new(interface),
        weight: 1,
        flags: 0,
        encapsulation: None,
    }
}

fn route(destination: &str, metric: u32, hops: &[NextHop]) -> Route {
    let (address, length) = destination.split_once('/').unwrap();
    Route {
        destination: Prefix {
            address: address.parse().unwrap(),
            length: length.parse().unwrap(),
        },
        source: None,
        kind: RouteKind::Unicast,
        protocol: RouteProtocol::BOOT,
        scope: Scope::UNIVERSE,
        tos: 0,
        preference: None,
        table: TABLE_MAIN,
        metric,
        preferred_source: None,
        next_hop_object: None,
        next_hops: hops.iter().cloned().collect(),
    }
}

fn refusing(destination: &str, kind: RouteKind, hops: &[NextHop]) -> Route {
    Route {
        kind,
        ..route(destination, 0, hops)
    }
}

fn persistent(route: Route) -> Route {
    Route {
        protocol: RouteProtocol::STATIC,
        ..route
    }
}

fn listing() -> RouteListing {
    RouteListing {
        interfaces: Fact::Known(vec![]),
        addresses: Fact::Known(vec![]),
        ipv4: Fact::Known(vec![]),
        ipv6: Fact::Known(vec![]),
        rules: Fact::Known(Vec::new()),
        tables: TableNames::default(),
        limits: vec![],
    }
}

fn text(listing: &RouteListing, table: TableSelection) -> String {
    let mut out = Vec::new();
    write(
        &mut out,
        listing,
        &RoutesOptions {
            table,
            ..RoutesOptions::default()
        },
    )
    .unwrap();
    String::from_utf8(out).unwrap()
}

/// Returns `expected` with full-length separators, which are written as a single `=` here.
fn page(expected: &str) -> String {
    expected
        .strip_prefix('\n')
        .unwrap_or(expected)
        .replace("=\n", &format!("{}\n", "=".repeat(75)))
}

#[test]
fn routes_of_a_computer_on_many_networks_have_classic_layout() {
    let mut listing = listing();
    let mut card = interface(2, "enp3s0", &[0x02, 0, 0x5e, 0x10, 0xff, 0x0a]);
    card.driver = Fact::Known(b"e1000e".to_vec());
    let mut stick = interface(12, "usb0", &[0x02, 0, 0, 0, 0, 1]);
    stick.driver = Fact::Known(b"r8152".to_vec());
    stick.product = Fact::Known(b"Pocket LAN".to_vec());
    stick.alias = Some(b"to the \x1b[1mlab".to_vec());
    let mut infiniband = interface(104, "ib0", &[0xab; 20]);
    infiniband.driver = Fact::Known(b"mlx5_core".to_vec());
    let mut bridge = interface(1234, "br\u{202e}0", &[0x02, 0, 0, 0, 0, 2]);
    bridge.kind = Some(b"bridge".to_vec());
    let mut tunnel = interface(7, "tun0", &[]);
    tunnel.kind = Some(b"tun".to_vec());
    let mut loopback = interface(1, "lo", &[0; 6]);
    loopback.flags = 9;
    listing.interfaces = Fact::Known(vec![card, stick, infiniband, tunnel, bridge, loopback]);
    listing.addresses = Fact::Known(vec![
        address(1, "127.0.0.1", 8),
        address(2, "192.168.31.221", 24),
        address(2, "10.20.30.40", 16),
        address(2, "10.20.30.41", 16),
        address(2, "2001:db8::5", 64),
    ]);
    let heavy = NextHop {
        weight: 3,
        ..hop(2, "10.20.0.2")
    };
    let down = NextHop {
        flags: 0x11,
        ..hop(12, "")
    };
    listing.ipv4 = Fact::Known(vec![
        persistent(route("0.0.0.0/0", 30, &[hop(2, "192.168.31.1")])),
        route("10.20.0.0/16", 0, &[hop(2, "")]),
        route("10.99.0.0/18", 7, &[hop(2, "10.20.0.1"), heavy]),
        Route {
            preferred_source: Some([10, 20, 30, 41].into()),
            ..route("10.100.0.0/32", u32::MAX, &[hop(2, "")])
        },
        Route {
            scope: Scope::HOST,
            ..route("127.0.0.0/8", 331, &[hop(1, "")])
        },
        route("172.16.0.0/12", 0, &[hop(7, "")]),
        route("172.32.0.0/31", 0, &[down]),
        Route {
            tos: 0x10,
            ..route("172.33.0.0/16", 0, &[hop(1234, "fe80::aaaa:bbbb:cccc:dddd")])
        },
        route("172.34.0.0/16", 0, &[hop(999, "")]),
        refusing("198.18.0.0/15", RouteKind::Blackhole, &[]),
        refusing("198.51.100.0/24", RouteKind::Unreachable, &[]),
        persistent(refusing("203.0.113.0/24", RouteKind::Prohibit, &[])),
        refusing("203.0.113.255/32", RouteKind::Throw, &[]),
        Route {
            next_hop_object: NonZeroU32::new(5),
            ..route("224.0.0.0/4", 0, &[])
        },
        route("255.255.255.255/32", 281, &[hop(2, "")]),
    ]);
    let source = Prefix {
        address: "2001:db8:7::".parse().unwrap(),
        length: 48,
    };
    listing.ipv6 = Fact::Known(vec![
        route("::/0", 1024, &[hop(2, "fe80::1")]),
        route("::1/128", 331, &[hop(1, "")]),
        route("2001:db8:1:22:333:4::/96", 256, &[hop(12, "")]),
        route(
            "2001:db8:1:22:333:44::/96",
            256,
            &[hop(2, ""), hop(1234, "2001:db8::9")],
        ),
        persistent(Route {
            source: Some(Box::new(source)),
            ..route("2001:db8:2::/48", u32::MAX, &[hop(2, "2001:db8::9")])
        }),
        refusing("2001:db8:3::/48", RouteKind::Unreachable, &[hop(1, "")]),
        refusing("2001:db8:4::/48", RouteKind::Blackhole, &[]),
    ]);
    let expected = "
=
Interface List
  2...02 00 5e 10 ff 0a ......enp3s0 (e1000e)
 12...02 00 00 00 00 01 ......usb0 (r8152: Pocket LAN), to the \\e[1mlab
104...ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ib0 (mlx5_core)
  7...........................tun0 (tun)
1234...02 00 00 00 00 02 .....br\\u{202e}0 (bridge)
  1...........................lo (loopback)
=

IPv4 Route Table
=
Active Routes:
Network Destination        Netmask          Gateway       Interface  Metric
          0.0.0.0          0.0.0.0     192.168.31.1   192.168.31.221     30
        10.20.0.0      255.255.0.0          On-link   192.168.31.221      0
        10.99.0.0    255.255.192.0        10.20.0.1      10.20.30.40      7  hop 1 of 2, weight 1
        10.99.0.0    255.255.192.0        10.20.0.2      10.20.30.40      7  hop 2 of 2, weight 3
       10.100.0.0  255.255.255.255          On-link      10.20.30.41  4294967295
        127.0.0.0        255.0.0.0          On-link        127.0.0.1    331
       172.16.0.0      255.240.0.0          On-link             tun0      0
       172.32.0.0  255.255.255.254          On-link             usb0      0  link down
       172.33.0.0      255.255.0.0  fe80::aaaa:bbbb:cccc:dddd      br\\u{202e}0      0  tos 0x10
       172.34.0.0      255.255.0.0          On-link              999      0
       198.18.0.0      255.254.0.0        Blackhole                -      0
     198.51.100.0    255.255.255.0      Unreachable                -      0
      203.0.113.0    255.255.255.0         Prohibit                -      0
    203.0.113.255  255.255.255.255            Throw                -      0
        224.0.0.0        240.0.0.0                -                -      0
  255.255.255.255  255.255.255.255          On-link   192.168.31.221    281
=
Persistent Routes:
  Network Address          Netmask  Gateway Address  Metric
          0.0.0.0          0.0.0.0     192.168.31.1      30
      203.0.113.0    255.255.255.0         Prohibit       0
=

IPv6 Route Table
=
Active Routes:
 If Metric Network Destination      Gateway
  2   1024 ::/0                     fe80::1
  1    331 ::1/128                  On-link
 12    256 2001:db8:1:22:333:4::/96 On-link
  2    256 2001:db8:1:22:333:44::/96
                                    On-link  hop 1 of 2, weight 1
1234    256 2001:db8:1:22:333:44::/96
                                    2001:db8::9  hop 2 of 2, weight 1
  2 4294967295 2001:db8:2::/48          2001:db8::9  from 2001:db8:7::/48
  1      0 2001:db8:3::/48          Unreachable
  -      0 2001:db8:4::/48          Blackhole
=
Persistent Routes:
 If Metric Network Destination      Gateway
  2 4294967295 2001:db8:2::/48          2001:db8::9  from 2001:db8:7::/48
=
";
    assert_eq!(text(&listing, TableSelection::default()), page(expected));
}

#[test]
fn routes_absent_are_none_and_unknown_are_a_dash() {
    let mut listing = listing();
    let shown = |word: &str| {
        page(&format!(
            "=\nInterface List\n  {word}\n=\n\nIPv4 Route Table\n=\nActive Routes:\n  {word}\n=\nPersistent Routes:\n  {word}\n=\n\
             \nIPv6 Route Table\n=\nActive Routes:\n  {word}\n=\nPersistent Routes:\n  {word}\n"
        ))
    };
    assert_eq!(text(&listing, TableSelection::default()), shown("None"));
    assert_eq!(text(&listing, TableSelection::All), shown("None"));
    listing.interfaces = Fact::Unknown(Why::NotPermitted);
    listing.addresses = Fact::Unknown(Why::NotPermitted);
    listing.ipv4 = Fact::Unknown(Why::NotPermitted);
    listing.ipv6 = Fact::Unknown(Why::NotPermitted);
    assert_eq!(text(&listing, TableSelection::default()), shown("-"));
}

#[test]
fn routes_are_shown_though_interfaces_are_unknown() {
    let mut listing = listing();
    listing.interfaces = Fact::Unknown(Why::Failed);
    listing.addresses = Fact::Unknown(Why::Failed);
    listing.ipv4 = Fact::Known(vec![route("10.0.0.0/8", 5, &[hop(3, "10.0.0.1")])]);
    let text = text(&listing, TableSelection::default());
    let row = "\n         10.0.0.0        255.0.0.0         10.0.0.1                3      5\n";
    assert!(text.contains(row), "{text}");
}

#[test]
fn routes_of_each_table_have_its_heading() {
    let mut listing = listing();
    listing.tables.insert(100, b"up\nlink".to_vec());
    let at = |table, destination| Route {
        table,
        ..route(destination, 0, &[hop(1, "")])
    };
    listing.ipv4 = Fact::Known(vec![
        at(TABLE_MAIN, "10.0.0.0/8"),
        at(TABLE_LOCAL, "127.0.0.1/32"),
        at(TABLE_LOCAL, "127.255.255.255/32"),
        at(100, "10.1.0.0/16"),
        at(4000, "10.2.0.0/16"),
    ]);
    let headings = |table| -> Vec<String> {
        let text = text(&listing, table);
        text.lines()
            .filter(|line| line.contains("Route Table"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        headings(TableSelection::All),
        [
            "IPv4 Route Table: main (254)",
            "IPv4 Route Table: local (255)",
            "IPv4 Route Table: up\\nlink (100)",
            "IPv4 Route Table: 4000",
            "IPv6 Route Table",
        ]
    );
    assert_eq!(
        headings(TableSelection::One(100)),
        ["IPv4 Route Table: up\\nlink (100)", "IPv6 Route Table: up\\nlink (100)"]
    );
    assert_eq!(
        headings(TableSelection::default()),
        ["IPv4 Route Table", "IPv6 Route Table"]
    );
    let all = text(&listing, TableSelection::All);
    assert_eq!(
        all.matches("Network Destination        Netmask").count(),
        4,
        "one block for each table: {all}"
    );
    assert_eq!(all.matches("10.2.0.0").count(), 1);
}

#[test]
fn routes_to_a_full_disk_return_the_error() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = write(&mut Full, &listing(), &RoutesOptions::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
