//! Who gets a session: by origin, by how many there are, and by how many a client has (GATEWAY.md 1, 4.3).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::metrics::Refusal;
use crate::policy::origins::Origins;
use crate::policy::quota::{Permit, Quota};
use crate::policy::rules::Limits;

/// Decides, and counts.
#[derive(Debug)]
pub struct Admission {
    origins: Origins,
    places: Arc<Quota>,
}

/// Whom a session is for. Its place is taken as long as this lives.
#[derive(Debug)]
pub struct Admitted {
    /// The client's address.
    pub client: SocketAddr,
    /// The page's origin.
    pub origin: String,
    _place: Permit,
}

impl Admission {
    /// For these origins, within these limits.
    pub fn new(origins: Origins, limits: Limits) -> Self {
        Self { origins, places: Quota::new(limits.sessions as usize, limits.sessions_of_client as usize) }
    }

    /// Whether a page with this `Origin` header may have a session at all.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        origin.is_some_and(|origin| self.origins.allow(origin))
    }

    /// Gives a client's page a place.
    pub fn admit(&self, client: SocketAddr, origin: Option<&str>) -> Result<Admitted, Refusal> {
        let origin = origin.filter(|_| self.allows(origin)).ok_or(Refusal::Origin)?.to_owned();
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let place = self.places.take(client.ip())?;
        Ok(Admitted { client, origin, _place: place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_that_is_missing_or_another_is_refused_and_costs_no_place() {
        let limits = Limits { sessions: 2, sessions_of_client: 1, ..Limits::default() };
        let admission = Admission::new("https://a.example".parse().unwrap(), limits);
        let client = "192.0.2.1:5".parse().unwrap();
        for origin in [None, Some("null"), Some("https://b.example"), Some("")] {
            assert_eq!(admission.admit(client, origin).unwrap_err(), Refusal::Origin, "{origin:?}");
        }
        let good = Some("https://a.example");
        let admitted = admission.admit(client, good).unwrap();
        assert_eq!(admitted.origin, "https://a.example");
        assert_eq!(admission.admit(client, good).unwrap_err(), Refusal::Client);
        let _other = admission.admit("192.0.2.2:5".parse().unwrap(), good).unwrap();
        assert_eq!(admission.admit("192.0.2.3:5".parse().unwrap(), good).unwrap_err(), Refusal::Full);
    }
}
