//! Converts the kernel's paths to the usual form.

use super::text::to_bytes;

/// Converts `\Device\HarddiskVolume3\Windows\x.exe` to `C:\Windows\x.exe`; unchanged if no drive has that device.
pub(super) fn drive_path(native: &[u16], drives: &[(Vec<u16>, Vec<u16>)]) -> Vec<u8> {
    for (drive, device) in drives {
        if let Some(rest) = native.strip_prefix(device.as_slice())
            && rest.first() == Some(&u16::from(b'\\'))
        {
            return to_bytes(&[drive.as_slice(), rest].concat());
        }
    }
    let shares: Vec<u16> = "\\Device\\Mup".encode_utf16().collect();
    match native.strip_prefix(shares.as_slice()) {
        // \\server\share\...
        Some(rest) if rest.first() == Some(&u16::from(b'\\')) => to_bytes(&[&[u16::from(b'\\')], rest].concat()),
        _ => to_bytes(native),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_becomes_its_drive() {
        let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
        let drives = [
            (units("C:"), units(r"\Device\HarddiskVolume1")),
            (units("D:"), units(r"\Device\HarddiskVolume12")),
        ];
        for (native, path) in [
            (r"\Device\HarddiskVolume1\a.exe", r"C:\a.exe"),
            (r"\Device\HarddiskVolume12\a.exe", r"D:\a.exe"),
            (r"\Device\HarddiskVolume7\a.exe", r"\Device\HarddiskVolume7\a.exe"),
            (r"\Device\Mup\server\share\a.exe", r"\\server\share\a.exe"),
        ] {
            assert_eq!(String::from_utf8(drive_path(&units(native), &drives)).unwrap(), path);
        }
    }
}
