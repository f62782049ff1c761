//! Who has which part of RAM.

use crate::error::LoadError;

struct Claim {
    name: String,
    at: u64,
    size: u64,
}

/// The parts of RAM that are spoken for, none overlapping another.
pub(crate) struct Claims {
    base: u64,
    end: u64,
    taken: Vec<Claim>,
}

impl Claims {
    /// RAM of `size` bytes at `base`, all free.
    pub(crate) fn new(base: u64, size: u64) -> Self {
        Self {
            base,
            end: base + size,
            taken: Vec::new(),
        }
    }

    fn overlap(&self, at: u64, end: u64) -> Option<&Claim> {
        self.taken
            .iter()
            .find(|claim| at < claim.at + claim.size && claim.at < end)
    }

    /// Claims `size` bytes at `at` for the part `what` of `name`. `hint` says
    /// what to do when that is not in RAM.
    pub(crate) fn claim(
        &mut self,
        name: &str,
        what: &str,
        at: u64,
        size: u64,
        hint: &'static str,
    ) -> Result<(), LoadError> {
        let end = match at.checked_add(size) {
            Some(end) if at >= self.base && end <= self.end => end,
            _ => {
                return Err(LoadError::Outside {
                    name: name.into(),
                    what: what.into(),
                    at,
                    size,
                    ram: self.base,
                    end: self.end,
                    hint,
                });
            }
        };
        if let Some(other) = self.overlap(at, end) {
            return Err(LoadError::Overlap {
                name: name.into(),
                what: what.into(),
                at,
                size,
                other: other.name.clone(),
                other_at: other.at,
                other_size: other.size,
            });
        }
        self.taken.push(Claim {
            name: format!("{name} ({what})"),
            at,
            size,
        });
        Ok(())
    }

    /// Claims the highest free `size` bytes that end at or below `limit`.
    pub(crate) fn claim_high(
        &mut self,
        name: &str,
        size: u64,
        align: u64,
        limit: u64,
    ) -> Result<u64, LoadError> {
        let mut end = self.end.min(limit);
        loop {
            let at = end
                .checked_sub(size)
                .map(|at| at & !(align - 1))
                .filter(|at| *at >= self.base)
                .ok_or_else(|| LoadError::NoRoom {
                    name: name.into(),
                    size,
                })?;
            match self.overlap(at, at + size) {
                // Claims are finite and each one moves us down.
                Some(other) => end = other.at,
                None => {
                    self.taken.push(Claim {
                        name: name.into(),
                        at,
                        size,
                    });
                    return Ok(at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_places_avoid_what_is_taken() {
        let mut claims = Claims::new(0x8000_0000, 0x1_0000);
        claims.claim("a", "x", 0x8000_e000, 0x1000, "").unwrap();
        assert_eq!(
            claims.claim_high("b", 0x1001, 0x1000, u64::MAX).unwrap(),
            0x8000_c000
        );
        assert_eq!(
            claims.claim_high("c", 0x1000, 0x1000, u64::MAX).unwrap(),
            0x8000_f000
        );
        assert_eq!(
            claims.claim_high("d", 0x10, 8, 0x8000_8000).unwrap(),
            0x8000_7ff0
        );
        let error = claims.claim_high("e", 0x7ff1, 1, u64::MAX).unwrap_err();
        assert!(error.to_string().starts_with("e: no room for 0x7ff1 bytes"));
    }

    #[test]
    fn claims_stay_in_ram_and_apart() {
        let mut claims = Claims::new(0x8000_0000, 0x1_0000);
        for (at, size) in [
            (0x7fff_ffff, 2),
            (0x8000_ffff, 2),
            (u64::MAX, 2),
            (0, u64::MAX),
        ] {
            let error = claims.claim("a", "x", at, size, "do").unwrap_err();
            assert!(matches!(error, LoadError::Outside { .. }), "{error}");
        }
        claims.claim("a", "x", 0x8000_0100, 0x100, "").unwrap();
        claims.claim("a", "y", 0x8000_0200, 0x100, "").unwrap();
        let error = claims.claim("a", "z", 0x8000_01ff, 1, "").unwrap_err();
        assert_eq!(
            error.to_string(),
            "a: z of 0x1 bytes at 0x800001ff overlaps a (x) at 0x80000100 (0x100 bytes)"
        );
    }
}
