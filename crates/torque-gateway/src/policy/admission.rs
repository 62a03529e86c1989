//! Admits pages: by their origin, and by the sessions that are left, in all and for one client (GATEWAY.md 1, 4.3).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::metrics::Refusal;
use crate::policy::origins::Origins;
use crate::policy::quota::{Permit, Quota};
use crate::policy::rules::Limits;

/// Decides who gets a session.
#[derive(Debug)]
pub struct Admission {
    origins: Origins,
    quota: Arc<Quota>,
}

/// A page that was admitted. It occupies one session of the quota until it is dropped.
#[derive(Debug)]
pub struct Admitted {
    /// The client's address.
    pub client: SocketAddr,
    /// The page's origin.
    pub origin: String,
    _permit: Permit,
}

impl Admission {
    /// Admits these origins, within these limits.
    pub fn new(origins: Origins, limits: Limits) -> Self {
        Self { origins, quota: Quota::new(limits.sessions as usize, limits.sessions_of_client as usize) }
    }

    /// Returns whether a page with this `Origin` header may have a session at all.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        origin.is_some_and(|origin| self.origins.allow(origin))
    }

    /// Admits a page of a client, if its origin is allowed and the quota has room.
    pub fn admit(&self, client: SocketAddr, origin: Option<&str>) -> Result<Admitted, Refusal> {
        let origin = origin.filter(|_| self.allows(origin)).ok_or(Refusal::Origin)?.to_owned();
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let permit = self.quota.take(client.ip())?;
        Ok(Admitted { client, origin, _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_foreign_origin_is_refused_and_uses_no_quota() {
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
