//! Variants in turn: each repetition measures all of them, beginning with another one each time. So slow changes of the host (frequency,
//! neighbours) meet all variants alike, and no variant always follows the same other one.

/// Measures `variants` things `repetitions` times each; `measure` gets variant and repetition. Result: samples by variant, in the order of
/// repetitions.
///
/// # Errors
/// The first error of `measure`.
pub fn interleaved<E>(
    variants: usize,
    repetitions: u32,
    mut measure: impl FnMut(usize, u32) -> Result<f64, E>,
) -> Result<Vec<Vec<f64>>, E> {
    let mut samples = vec![Vec::with_capacity(repetitions as usize); variants];
    for repetition in 0..repetitions {
        for variant in order(variants, repetition) {
            samples[variant].push(measure(variant, repetition)?);
        }
    }
    Ok(samples)
}

/// The order of a repetition: begins one further each time, and runs backwards every second time.
fn order(variants: usize, repetition: u32) -> Vec<usize> {
    let first = if variants == 0 { 0 } else { repetition as usize % variants };
    let mut order: Vec<usize> = (first..variants).chain(0..first).collect();
    if repetition % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_repetition_holds_each_variant_once_and_begins_elsewhere() {
        let mut seen = Vec::new();
        let samples = interleaved(3, 4, |variant, repetition| {
            seen.push((repetition, variant));
            Ok::<f64, ()>((10 * variant) as f64 + f64::from(repetition))
        })
        .unwrap();
        assert_eq!(samples, [[0.0, 1.0, 2.0, 3.0], [10.0, 11.0, 12.0, 13.0], [20.0, 21.0, 22.0, 23.0]]);
        let firsts: Vec<usize> = (0..4).map(|repetition| seen.iter().find(|run| run.0 == repetition).unwrap().1).collect();
        assert_eq!(firsts, [0, 0, 2, 2]);
        assert_eq!(order(3, 1), [0, 2, 1]);
    }

    #[test]
    fn an_error_ends_it() {
        let mut runs = 0;
        let failed = interleaved(2, 5, |_, _| {
            runs += 1;
            if runs == 3 { Err("no") } else { Ok(0.0) }
        });
        assert_eq!((failed, runs), (Err("no"), 3));
    }
}
