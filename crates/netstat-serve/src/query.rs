//! Query strings: the part of a URL after the question mark.

use crate::problem::Problem;

/// The maximum number of parameters.
const MOST: usize = 64;

/// Returns the decoded parameters of a query, in order.
///
/// # Errors
/// Fails if there are too many parameters, or if one is not valid UTF-8 or contains control characters.
pub(crate) fn parse(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MOST {
            return Err(Problem::bad("the query has too many parameters"));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decode(name)?, decode(value)?));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Result<String, Problem> {
    let wrong = || Problem::bad("the query is not well encoded");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
                u8::try_from(high * 16 + low).map_err(|_| wrong())?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(out).map_err(|_| wrong())?;
    // No option, path or name contains control characters.
    match text.contains(char::is_control) {
        true => Err(wrong()),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_decoded_or_refused_if_malformed() {
        let pairs = parse("port=443&foreign=%5B2001%3Adb8%3A%3A1%5D%3A443&program=a+b&listening&x=").unwrap();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            pairs,
            [
                ("port", "443"),
                ("foreign", "[2001:db8::1]:443"),
                ("program", "a b"),
                ("listening", ""),
                ("x", "")
            ]
        );
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%00", "a=%0a", &"a=1&".repeat(65)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
