//! The linear algebra of a step: damped normal equations, and what they say of how well parameters are determined.

use super::report::Determination;
use nalgebra::{DMatrix, DVector};

/// Damping of the first step, in units of squared tolerances for a whole range of a parameter.
pub const FIRST_DAMPING: f64 = 10.0;
/// The damping grows by this after a step that did not help and shrinks by it after one that did.
pub const DAMPING_FACTOR: f64 = 4.0;

/// A step in shares of the parameters' ranges.
pub struct Step(pub Vec<f64>);

/// The damped Gauss-Newton step from columns of derivatives and residuals; `None` when no parameter moves any residual.
pub fn step(jacobian: &[Vec<f64>], residuals: &[f64], damping: f64) -> Option<Step> {
    let jacobian = matrix(jacobian)?;
    let residuals = DVector::from_column_slice(residuals);
    let normal = jacobian.transpose() * &jacobian + DMatrix::identity(jacobian.ncols(), jacobian.ncols()) * damping;
    let step = normal.cholesky()?.solve(&(-jacobian.transpose() * residuals));
    Some(Step(step.iter().copied().collect()))
}

/// For each parameter how far, in shares of its range, it may move before the rows are off by one tolerance in the mean square sense:
/// alone, and when all other parameters make up for it as well as they can.
pub fn determinations(jacobian: &[Vec<f64>]) -> Vec<Determination> {
    let Some(matrix) = matrix(jacobian) else { return Vec::new() };
    let normal = matrix.transpose() * &matrix;
    // a little damping keeps parameters that nothing determines finite: they come out as wider than their range
    let inverse = (&normal + DMatrix::identity(normal.nrows(), normal.ncols()) * 1e-6).try_inverse();
    let of = |index: usize| {
        let alone = 1.0 / normal[(index, index)].max(1e-6).sqrt();
        let together = inverse.as_ref().map_or(f64::INFINITY, |inverse| inverse[(index, index)].max(0.0).sqrt());
        Determination { alone, together: together.max(alone) }
    };
    (0..matrix.ncols()).map(of).collect()
}

fn matrix(columns: &[Vec<f64>]) -> Option<DMatrix<f64>> {
    let rows = columns.first()?.len();
    (rows > 0).then(|| DMatrix::from_fn(rows, columns.len(), |row, column| columns[column][row]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows `a + b = 3`, `a - b = 1`: one undamped step from zero solves them.
    #[test]
    fn a_linear_problem_is_solved_in_one_step() {
        let jacobian = [vec![1.0, 1.0], vec![1.0, -1.0]];
        let Step(step) = step(&jacobian, &[-3.0, -1.0], 1e-9).unwrap();
        assert!((step[0] - 2.0).abs() < 1e-6 && (step[1] - 1.0).abs() < 1e-6, "{step:?}");
    }

    #[test]
    fn a_damped_step_is_shorter_and_points_the_same_way() {
        let jacobian = [vec![1.0, 0.0], vec![0.0, 1.0]];
        let Step(step) = step(&jacobian, &[-3.0, -1.0], 1.0).unwrap();
        assert!((step[0] - 1.5).abs() < 1e-9 && (step[1] - 0.5).abs() < 1e-9);
    }

    #[test]
    fn parameters_that_make_up_for_each_other_are_determined_together_only() {
        let alike = determinations(&[vec![1.0, 2.0], vec![1.0, 2.001]]);
        assert!(alike[0].alone < 1.0 && alike[0].together > 100.0, "{alike:?}");
        let apart = determinations(&[vec![4.0, 0.0], vec![0.0, 4.0]]);
        assert!((apart[0].together - 0.25).abs() < 1e-3, "{apart:?}");
    }

    #[test]
    fn a_parameter_that_moves_nothing_is_undetermined() {
        let determinations = determinations(&[vec![0.0, 0.0], vec![2.0, 0.0]]);
        assert!(determinations[0].together > 100.0 && determinations[1].together < 1.0);
    }
}
