//! Amounts and currencies.

use iso_currency::Currency;
use souk_db::auctions::MONEY_MAX;
use souk_proto::Failure;

/// An amount of money in minor units.
///
/// # Errors
/// If it is not 1 to [`MONEY_MAX`].
pub fn amount(field: &str, value: i64) -> Result<i64, Failure> {
    match value {
        1..=MONEY_MAX => Ok(value),
        _ => {
            let why = "Amounts are 1 to 1000000000000000, in the currency's smallest unit.";
            Err(Failure::field(field, why))
        }
    }
}

/// A currency that some country pays in, by its three capital letters.
///
/// # Errors
/// For any other text. ISO 4217 lists precious metals, units of account and codes for tests too.
pub fn currency(text: &str) -> Result<&str, Failure> {
    let known = Currency::from_code(text);
    match known.is_some_and(|it| it.code() == text && !it.used_by().is_empty()) {
        true => Ok(text),
        false => {
            let why = "A currency is a code of ISO 4217 in capital letters, like \"EUR\".";
            Err(Failure::field("currency", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{amount, currency};
    use souk_db::auctions::MONEY_MAX;

    #[test]
    fn amounts_are_positive_and_bounded_and_the_field_is_named() {
        assert!([1, 2, MONEY_MAX].into_iter().all(|value| amount("amount", value) == Ok(value)));
        for value in [0, -1, i64::MIN, MONEY_MAX + 1, i64::MAX] {
            assert_eq!(amount("reserve", value).expect_err("refused").field, "reserve");
        }
    }

    #[test]
    fn currencies_are_those_that_countries_pay_in() {
        for code in ["EUR", "USD", "JPY", "KWD", "CHF", "TND"] {
            assert_eq!(currency(code), Ok(code));
        }
        for code in ["", "eur", "Eur", "EURO", "EU", "ABC", "XXX", "XTS", "XAU", "€", " EUR"] {
            assert_eq!(currency(code).expect_err(code).field, "currency");
        }
    }
}
