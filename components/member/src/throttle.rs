//! Guessing takes long, and does not keep the shop busy: what asks for a hash is counted before it gets one, in SQLite,
//! where a count is exact (the key-value store cannot compare and swap).

use crate::Members;
use ::http::{HeaderMap, StatusCode};
use kernel::{
    Error, Kernel,
    http::{Problem, only_line},
    platform::{self, Value, unix_ms},
};
use std::net::{IpAddr, SocketAddr};

/// So many wrong passwords cost nothing; each further one doubles the wait, beginning with a second.
const FREE_FAILURES: i64 = 5;
const LONGEST_WAIT_MS: i64 = 15 * 60 * 1_000;
/// After so long nobody remembers, in ms.
const FORGOTTEN_MS: i64 = 24 * 3_600_000;
/// How many are forgotten at once.
const SWEEP: i64 = 500;

/// Counts somebody who asks for a hash: by where they come from, and among all.
///
/// # Errors
/// 429 with `Retry-After`; no hash is made then.
pub async fn admit(kernel: &Kernel<Members>, headers: &HeaderMap) -> Result<(), Problem> {
    let platform = &**kernel.platform();
    let a_minute = platform::number(platform, "sign_ins_per_minute", 120).await;
    let a_second = platform::number(platform, "hashes_per_second", 10).await;
    if let Some(address) = address(headers, platform::number(platform, "trusted_hops", 0).await) {
        take(kernel, &format!("address {address}"), 60_000, a_minute).await?;
    }
    take(kernel, "all", 2_000, a_second.saturating_mul(2)).await
}

/// Takes one of so many in a span of time (ms), all of which may come at once (the generic cell rate algorithm).
async fn take(kernel: &Kernel<Members>, id: &str, span: i64, many: u64) -> Result<(), Problem> {
    let now = unix_ms(kernel.platform().now());
    let each = span / i64::try_from(many.clamp(1, 100_000)).unwrap_or(1);
    // A clock that was set back must keep nobody out.
    let sql = "INSERT INTO member_attempt (id, free_at) VALUES (?1, ?2 + ?3) ON CONFLICT (id) DO UPDATE SET \
        free_at = CASE WHEN free_at > ?2 + 2 * ?4 THEN ?2 ELSE max(free_at, ?2) END + ?3 \
        WHERE free_at + ?3 <= ?2 + ?4 OR free_at > ?2 + 2 * ?4 RETURNING free_at";
    let parameters = vec![id.into(), now.into(), each.into(), span.into()];
    if kernel.query(sql, parameters).await?.is_empty() {
        return Err(too_many(each.max(1_000)));
    }
    Ok(())
}

/// Counts a guess at this account, before it is looked at: so a hundred at once are not a hundred guesses.
///
/// # Errors
/// 429 with `Retry-After`; no hash is made then.
pub async fn guess(kernel: &Kernel<Members>, account: &str) -> Result<(), Problem> {
    let now = unix_ms(kernel.platform().now());
    let sql = "INSERT INTO member_attempt (id, failures, free_at) VALUES (?1, 1, ?2) ON CONFLICT (id) DO UPDATE SET \
        failures = failures + 1, free_at = ?2 + CASE WHEN failures < ?3 THEN 0 \
        ELSE min(?4, 1000 << min(failures - ?3, 20)) END \
        WHERE free_at <= ?2 OR free_at > ?2 + ?4 RETURNING failures";
    let id = format!("account {account}");
    let parameters = vec![id.as_str().into(), now.into(), FREE_FAILURES.into(), LONGEST_WAIT_MS.into()];
    if kernel.query(sql, parameters).await?.is_empty() {
        let rows = kernel.query("SELECT free_at FROM member_attempt WHERE id = ?", vec![id.into()]).await?;
        let free_at = rows.first().and_then(|row| row.first()).and_then(Value::integer).unwrap_or(now);
        return Err(too_many(free_at.saturating_sub(now)));
    }
    Ok(())
}

/// It was no guess.
///
/// # Errors
/// When the database cannot be written.
pub async fn knew(kernel: &Kernel<Members>, account: &str) -> Result<(), Error> {
    let id = format!("account {account}");
    kernel.query("DELETE FROM member_attempt WHERE id = ?", vec![id.into()]).await.map(drop)
}

/// Forgets what was counted long ago.
///
/// # Errors
/// When the database cannot be written.
pub async fn sweep(kernel: &Kernel<Members>) -> Result<(), Error> {
    let before = unix_ms(kernel.platform().now()).saturating_sub(FORGOTTEN_MS);
    let sql = "DELETE FROM member_attempt WHERE id IN (SELECT id FROM member_attempt WHERE free_at < ? LIMIT ?)";
    kernel.query(sql, vec![before.into(), SWEEP.into()]).await.map(drop)
}

fn too_many(wait_ms: i64) -> Problem {
    let seconds = u64::try_from(wait_ms).unwrap_or_default().div_ceil(1_000).max(1);
    let detail = format!("Too many have been tried. Try again in {seconds} s.");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", detail).retry_after(seconds)
}

/// Where a request comes from: what the host says; behind so many proxies of ours, what the first of them says. Of IPv6 the
/// network, since one subscriber has all of it.
fn address(headers: &HeaderMap, trusted_hops: u64) -> Option<String> {
    let line = |name: &'static str| only_line(headers, name).ok()??.to_str().ok();
    let address = match usize::try_from(trusted_hops).unwrap_or(usize::MAX).checked_sub(1) {
        None => {
            let text = line("spin-client-addr")?;
            text.parse::<SocketAddr>().map(|it| it.ip()).or_else(|_| text.parse()).ok()?
        }
        Some(behind) => line("x-forwarded-for")?.rsplit(',').nth(behind)?.trim().parse::<IpAddr>().ok()?,
    };
    Some(match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "whatever goes wrong here is a failed test")]
mod tests {
    use super::address;
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn an_address_is_what_somebody_whom_we_trust_says() {
        let said = headers(&[("spin-client-addr", "10.0.0.1:4242"), ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 3.3.3.3")]);
        let of = |hops| address(&said, hops);
        assert_eq!(of(0).unwrap(), "10.0.0.1");
        assert_eq!(of(1).unwrap(), "3.3.3.3");
        assert_eq!(of(2).unwrap(), "2.2.2.2");
        assert_eq!(of(4), None);
        let six = |text| address(&headers(&[("spin-client-addr", text)]), 0);
        assert_eq!(six("[2001:db8:1:2:3:4:5:6]:80").unwrap(), "2001:db8:1:2::/64");
        assert_eq!(six("[2001:db8:1:2:ffff::1]:80"), six("[2001:db8:1:2:3:4:5:6]:80"));
        assert_eq!(six("[::ffff:10.0.0.1]:80").unwrap(), "10.0.0.1");
        assert_eq!(six("nowhere"), None);
    }
}
