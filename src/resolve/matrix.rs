//! `[matrix]`: one image for each combination of values. An `exclude` entry removes the
//! combinations that have all its values. An `include` entry adds its values to the combinations
//! that agree with it, or else adds a new combination, as in GitHub Actions.

use std::collections::BTreeMap;

use crate::config_files::matrix::{MatrixTable, Scalar};

/// One combination: the value of each axis.
pub(super) type MatrixRow = BTreeMap<String, String>;

/// The limit of combinations, so that a typing error does not exhaust memory.
pub(super) const MAX_ROWS: usize = 10_000;

/// The reason why a matrix has no combinations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// An axis without values.
    #[error("the axis `{0}` has no values")]
    EmptyAxis(String),
    /// The matrix has too many combinations.
    #[error("the matrix has more than {MAX_ROWS} combinations")]
    TooMany,
    /// Everything was excluded.
    #[error("the matrix has no combinations: `exclude` removes all of them")]
    NoneLeft,
}

/// The combinations, in the order of the axes and their values; one empty row if there is no
/// matrix. Also returns the positions of the `exclude` entries that match no combination.
pub(super) fn rows(matrix: &MatrixTable) -> Result<(Vec<MatrixRow>, Vec<usize>), Error> {
    if matrix.axes.is_empty() && matrix.include.is_empty() {
        return Ok((vec![MatrixRow::new()], Vec::new()));
    }
    let mut rows = product(matrix)?;
    let mut unused = Vec::new();
    for (number, excluded) in matrix.exclude.iter().enumerate() {
        let before = rows.len();
        rows.retain(|row| {
            !excluded
                .iter()
                .all(|(axis, value)| row.get(axis) == Some(&value.0))
        });
        if rows.len() == before {
            unused.push(number);
        }
    }
    let original = rows.len();
    for included in &matrix.include {
        include(&mut rows, original, included, matrix);
    }
    if rows.is_empty() {
        Err(Error::NoneLeft)
    } else {
        Ok((rows, unused))
    }
}

fn product(matrix: &MatrixTable) -> Result<Vec<MatrixRow>, Error> {
    if matrix.axes.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = vec![MatrixRow::new()];
    for (axis, values) in &matrix.axes {
        if values.is_empty() {
            return Err(Error::EmptyAxis(axis.clone()));
        }
        if rows.len().saturating_mul(values.len()) > MAX_ROWS {
            return Err(Error::TooMany);
        }
        let with_value = |row: &MatrixRow, value: &Scalar| {
            let mut row = row.clone();
            row.insert(axis.clone(), value.0.clone());
            row
        };
        rows = rows
            .iter()
            .flat_map(|row| values.iter().map(move |value| with_value(row, value)))
            .collect();
    }
    Ok(rows)
}

fn include(
    rows: &mut Vec<MatrixRow>,
    original: usize,
    included: &BTreeMap<String, Scalar>,
    matrix: &MatrixTable,
) {
    let agrees = |row: &MatrixRow| {
        let axes = included
            .iter()
            .filter(|(axis, _)| matrix.axes.contains_key(*axis));
        axes.into_iter()
            .all(|(axis, value)| row.get(axis) == Some(&value.0))
    };
    let extends = included.keys().any(|key| !matrix.axes.contains_key(key));
    let mut matched = false;
    for row in rows[..original].iter_mut().filter(|row| agrees(row)) {
        matched = true;
        if extends {
            row.extend(
                included
                    .iter()
                    .map(|(key, value)| (key.clone(), value.0.clone())),
            );
        }
    }
    if !matched {
        rows.push(
            included
                .iter()
                .map(|(key, value)| (key.clone(), value.0.clone()))
                .collect(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(text: &str) -> Result<Vec<String>, Error> {
        let table: MatrixTable = toml::from_str(text).unwrap();
        let show = |row: MatrixRow| {
            row.into_iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        rows(&table).map(|(rows, _)| rows.into_iter().map(show).collect())
    }

    #[test]
    fn a_matrix_has_all_combinations_after_exclude_and_include() {
        for (text, expected) in [
            ("", vec![""]),
            (
                "a = ['1', '2']\nb = ['x', 'y']",
                vec!["a=1 b=x", "a=1 b=y", "a=2 b=x", "a=2 b=y"],
            ),
            ("a = [1, 2]\nexclude = [{ a = 2 }]", vec!["a=1"]),
            (
                "a = ['1', '2']\nexclude = [{ a = '2', arch = 's390x' }]",
                vec!["a=1", "a=2"],
            ),
            ("a = ['1']\ninclude = [{ a = '3' }]", vec!["a=1", "a=3"]),
            (
                "a = ['1', '2']\ninclude = [{ a = '2', extra = 'x' }]",
                vec!["a=1", "a=2 extra=x"],
            ),
            ("include = [{ a = '1' }, { a = '2' }]", vec!["a=1", "a=2"]),
        ] {
            assert_eq!(
                matrix(text),
                Ok(expected.into_iter().map(str::to_owned).collect()),
                "{text}"
            );
        }
        assert_eq!(matrix("a = []"), Err(Error::EmptyAxis("a".to_owned())));
        assert_eq!(
            matrix("a = ['1']\nexclude = [{ a = '1' }]"),
            Err(Error::NoneLeft)
        );
    }
}
