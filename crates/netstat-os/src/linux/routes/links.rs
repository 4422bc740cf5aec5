//! Decodes link messages (`RTM_NEWLINK`): `ifinfomsg` and its attributes, linux/if_link.h; and reads the attributes of
//! the device behind a link from sysfs.

use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use netstat_model::route::Interface;
use netstat_model::{Fact, Why};

use crate::linux::netlink::attributes::{Attributes, Malformed, number, text, u16_at, u32_at};

/// Size of `ifinfomsg` in bytes.
const HEADER: usize = 16;

/// A link as the kernel reports it, without its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkMessage {
    /// The interface; [`Interface::driver`] and [`Interface::product`] are still unknown.
    pub interface: Interface,
    /// The bus and the name of the device on it (`IFLA_PARENT_DEV_BUS_NAME`, `IFLA_PARENT_DEV_NAME`, since Linux 5.14).
    pub device: Option<(Vec<u8>, Vec<u8>)>,
}

/// Decodes the payload of a link message.
///
/// # Errors
/// Returns an error if the index or the name is missing, or a length is invalid.
pub fn parse_link(payload: &[u8]) -> Result<LinkMessage, Malformed> {
    /// `IFLA_*`, `IFLA_INFO_*`.
    mod kind {
        pub(super) const ADDRESS: u16 = 1;
        pub(super) const IFNAME: u16 = 3;
        pub(super) const MTU: u16 = 4;
        pub(super) const MASTER: u16 = 10;
        pub(super) const LINKINFO: u16 = 18;
        pub(super) const INFO_KIND: u16 = 1;
        pub(super) const IFALIAS: u16 = 20;
        pub(super) const PARENT_DEV_NAME: u16 = 56;
        pub(super) const PARENT_DEV_BUS_NAME: u16 = 57;
    }
    let cut = Malformed("link header cut off");
    let hardware_type = u16_at(payload, 2).ok_or(cut)?;
    let index = NonZeroU32::new(u32_at(payload, 4).ok_or(cut)?).ok_or(Malformed("link without an index"))?;
    let flags = u32_at(payload, 8).ok_or(cut)?;
    let mut interface = Interface {
        index,
        name: Vec::new(),
        alias: None,
        kind: None,
        driver: Fact::Unknown(Why::NotAsked),
        product: Fact::Unknown(Why::NotAsked),
        hardware_type,
        link_address: Vec::new(),
        flags,
        mtu: Fact::Unknown(Why::NotKept),
        master: None,
    };
    let (mut bus, mut device) = (None, None);
    for attribute in Attributes(payload.get(HEADER..).ok_or(cut)?) {
        let attribute = attribute?;
        let value = attribute.value;
        match attribute.kind {
            kind::IFNAME => interface.name = text(value).to_vec(),
            kind::IFALIAS => interface.alias = Some(text(value).to_vec()).filter(|alias| !alias.is_empty()),
            kind::ADDRESS => interface.link_address = value.to_vec(),
            kind::MTU => interface.mtu = Fact::Known(number(value)?),
            kind::MASTER => interface.master = NonZeroU32::new(number(value)?),
            kind::LINKINFO => {
                for inner in Attributes(value) {
                    let inner = inner?;
                    if inner.kind == kind::INFO_KIND {
                        interface.kind = Some(text(inner.value).to_vec());
                    }
                }
            }
            kind::PARENT_DEV_NAME => device = Some(text(value).to_vec()),
            kind::PARENT_DEV_BUS_NAME => bus = Some(text(value).to_vec()),
            _ => {}
        }
    }
    if interface.name.is_empty() {
        return Err(Malformed("link without a name"));
    }
    Ok(LinkMessage {
        interface,
        device: bus.zip(device),
    })
}

/// Returns the interface with its driver and product, read from `sysfs` (`/sys`).
///
/// `/sys/class/net` is not used, because it shows the network namespace in which sysfs was mounted, where the same name
/// may belong to another device. The directory of the bus is the same everywhere.
pub(super) fn with_device(link: LinkMessage, sysfs: &Path) -> Interface {
    let LinkMessage { mut interface, device } = link;
    let folder = device
        .as_ref()
        .and_then(|(bus, device)| device_folder(sysfs, bus, device));
    let Some(folder) = folder else {
        interface.driver = Fact::Unknown(Why::NotApplicable);
        interface.product = Fact::Unknown(Why::NotApplicable);
        return interface;
    };
    interface.driver = match std::fs::read_link(folder.join("driver")) {
        Ok(target) => Fact::from_option(target.file_name().map(|name| name.as_bytes().to_vec()), Why::Failed),
        Err(error) => Fact::Unknown(reason(&error)),
    };
    // The parent of a USB interface is the device, which has the product name. Other buses have none.
    interface.product = match &device {
        Some((bus, _)) if bus == b"usb" => match std::fs::read(folder.join("../product")) {
            Ok(product) => Fact::Known(product.trim_ascii().to_vec()),
            Err(error) => Fact::Unknown(reason(&error)),
        },
        _ => Fact::Unknown(Why::NotKept),
    };
    interface
}

fn device_folder(sysfs: &Path, bus: &[u8], device: &[u8]) -> Option<PathBuf> {
    let plain = |name: &[u8]| !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/');
    (plain(bus) && plain(device)).then(|| {
        let part = std::ffi::OsStr::from_bytes;
        sysfs.join("bus").join(part(bus)).join("devices").join(part(device))
    })
}

fn reason(error: &std::io::Error) -> Why {
    match error.kind() {
        std::io::ErrorKind::NotFound => Why::NotKept,
        std::io::ErrorKind::PermissionDenied => Why::NotPermitted,
        _ => Why::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::{attribute, body};
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    fn header() -> Vec<u8> {
        let mut bytes = vec![0, 0];
        bytes.extend(1u16.to_ne_bytes());
        bytes.extend(7u32.to_ne_bytes());
        bytes.extend(0x1043u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes
    }

    fn link(bus: &[u8], device: &[u8]) -> LinkMessage {
        let info = attribute(1, b"veth\0");
        parse_link(&body(
            &header(),
            &[
                (3, b"eth0\0"),
                (1, &[2, 0, 0, 0, 0, 9]),
                (4, &1400u32.to_ne_bytes()),
                (0x8000 | 18, &info),
                (20, b"the \x1b[1mbig one\0"),
                (56, device),
                (57, bus),
            ],
        ))
        .unwrap()
    }

    #[test]
    fn link_message_is_read() {
        let link = link(b"virtio\0", b"virtio3\0");
        assert_eq!(link.device, Some((b"virtio".to_vec(), b"virtio3".to_vec())));
        let interface = link.interface;
        assert_eq!((interface.index.get(), &interface.name[..]), (7, &b"eth0"[..]));
        assert_eq!(interface.kind.as_deref(), Some(&b"veth"[..]));
        assert_eq!(interface.alias.as_deref(), Some(&b"the \x1b[1mbig one"[..]));
        assert_eq!(interface.hardware_address(), Some(&[2, 0, 0, 0, 0, 9][..]));
        assert_eq!(interface.mtu, Fact::Known(1400));
        assert!(interface.is_up() && !interface.is_loopback());
        assert!(parse_link(&header()).is_err(), "no name");
        assert!(parse_link(&header()[..15]).is_err());
    }

    #[test]
    fn link_driver_and_product_come_from_bus() {
        let sysfs = tempfile::tempdir().unwrap();
        let device = sysfs.path().join("devices/hub/1-1/1-1:1.0");
        std::fs::create_dir_all(&device).unwrap();
        std::fs::create_dir_all(sysfs.path().join("bus/usb/devices")).unwrap();
        std::fs::write(sysfs.path().join("devices/hub/1-1/product"), "Pocket LAN\n").unwrap();
        symlink("../../drivers/r8152", device.join("driver")).unwrap();
        symlink(&device, sysfs.path().join("bus/usb/devices/1-1:1.0")).unwrap();

        let found = with_device(link(b"usb\0", b"1-1:1.0\0"), sysfs.path());
        assert_eq!(found.driver, Fact::Known(b"r8152".to_vec()));
        assert_eq!(found.product, Fact::Known(b"Pocket LAN".to_vec()));
        let other = with_device(link(b"pci\0", b"0000:00:03.0\0"), sysfs.path());
        assert_eq!(other.driver, Fact::Unknown(Why::NotKept));
        let outside = with_device(link(b"usb\0", b"../../../devices/hub\0"), sysfs.path());
        assert_eq!(outside.driver, Fact::Unknown(Why::NotApplicable));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = parse_link(&bytes);
        }
    }
}
