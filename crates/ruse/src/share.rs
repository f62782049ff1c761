//! Directories of the host for machines.

use ruse_machine::{BadState, FileServer, Share};
use ruse_share::{Server, ShareError, ShareSpec};

use crate::error::HostError;

/// A server behind a device.
struct Folder(Server);

impl FileServer for Folder {
    fn answer(&mut self, message: &[u8], reply: &mut [u8]) -> usize {
        self.0.answer(message, reply)
    }

    fn save(&mut self) -> Vec<u8> {
        self.0.save()
    }

    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        self.0.load(state).map_err(BadState::new)
    }
}

/// Opens directories, each with a tag of its own.
///
/// # Errors
/// [`HostError`] if the host does not, or two tags are the same.
pub fn open(specs: &[ShareSpec]) -> Result<Vec<Share>, HostError> {
    let mut shares: Vec<Share> = Vec::new();
    for spec in specs {
        let tag = spec.tag();
        if shares.iter().any(|other| other.tag == tag) {
            return Err(ShareError::Twice(tag).into());
        }
        let server = Box::new(Folder(spec.open()?));
        shares.push(Share { tag, server });
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tag_once() {
        let specs = |texts: &[&str]| -> Vec<ShareSpec> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert_eq!(open(&specs(&[".,ro", ".,ro,tag=again"])).unwrap().len(), 2);
        let error = open(&specs(&[".,ro,tag=x", ".,ro,tag=x"])).err().unwrap();
        assert!(error.to_string().contains("tag=OTHER"), "{error}");
    }
}
