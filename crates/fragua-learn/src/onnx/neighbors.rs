//! The KNN imputer in plain operators: row by row in a `Scan`, and only where a row has a gap.

use super::encoder::{Element, Graph, attribute, tensor, value};
use crate::config::NeighborWeights;
use crate::prepare::knn::KnnImputer;

/// Adds the imputer after `numbers` (`[N, columns]`) and returns the name of the filled numbers.
pub(crate) fn add(graph: &mut Graph, prefix: &str, imputer: &KnnImputer, numbers: &str) -> String {
    let names = Names { prefix };
    add_constants(graph, &names, imputer);
    let columns = imputer.columns.len() as i64;

    let mut row = Graph::default();
    row.inputs
        .push(value(&names.of("row"), Element::Float, &[columns]));
    let [input, gap, gaps, any, has_gap, filled] =
        ["row", "gap", "gaps", "any", "has_gap", "row_filled"].map(|name| names.of(name));
    row.add("IsNaN", &[&input], &gap, &[]);
    row.add(
        "Cast",
        &[&gap],
        &gaps,
        &[attribute::int("to", Element::Float as i64)],
    );
    row.add("ReduceMax", &[&gaps], &any, &[attribute::int("keepdims", 0)]);
    row.add(
        "Cast",
        &[&any],
        &has_gap,
        &[attribute::int("to", Element::Bool as i64)],
    );
    let fill = fill_branch(&names, imputer).encode("fill");
    let mut keep = Graph::default();
    keep.add("Identity", &[&input], &names.of("kept"), &[]);
    keep.outputs
        .push(value(&names.of("kept"), Element::Float, &[columns]));
    let branches = [
        attribute::graph("then_branch", &fill),
        attribute::graph("else_branch", &keep.encode("keep")),
    ];
    row.add("If", &[&has_gap], &filled, &branches);
    row.outputs.push(value(&filled, Element::Float, &[columns]));

    let output = names.of("rows_filled");
    let body = attribute::graph("body", &row.encode("row"));
    graph.add(
        "Scan",
        &[numbers],
        &output,
        &[body, attribute::int("num_scan_inputs", 1)],
    );
    output
}

struct Names<'a> {
    prefix: &'a str,
}

impl Names<'_> {
    fn of(&self, name: &str) -> String {
        format!("{}neighbors/{name}", self.prefix)
    }
}

fn add_constants(graph: &mut Graph, names: &Names<'_>, imputer: &KnnImputer) {
    let (columns, donors) = (imputer.columns.len(), imputer.donor_count());
    let shape = [donors as i64, columns as i64];
    let turned = [columns as i64, donors as i64];
    let by_column = || {
        (0..columns)
            .flat_map(move |column| (0..donors).map(move |donor| imputer.donors[donor * columns + column]))
    };
    let zero_for_gap = |value: f32| if value.is_nan() { 0.0 } else { value };
    let donors_by_row: Vec<f32> = imputer.donors.iter().map(|&value| zero_for_gap(value)).collect();
    let donors_by_column: Vec<f32> = by_column().map(zero_for_gap).collect();
    let present: Vec<f32> = imputer
        .donors
        .iter()
        .map(|value| f32::from(u8::from(!value.is_nan())))
        .collect();
    let means: Vec<f64> = imputer.means.iter().map(|&mean| f64::from(mean)).collect();
    let nearest = imputer.neighbors.min(donors) as i64;
    graph.constants.extend([
        tensor::floats(&names.of("donors_single"), &shape, &donors_by_row),
        tensor::floats(&names.of("donors_turned_single"), &turned, &donors_by_column),
        tensor::floats(&names.of("present_single"), &shape, &present),
        tensor::bools(
            &names.of("present_turned"),
            &turned,
            by_column().map(|value| !value.is_nan()),
        ),
        tensor::doubles(&names.of("means"), &[columns as i64], &means),
        tensor::ints(&names.of("nearest"), &[1], &[nearest]),
        tensor::ints(&names.of("axis_0"), &[1], &[0]),
        tensor::ints(&names.of("axis_1"), &[1], &[1]),
        tensor::doubles(&names.of("zero"), &[], &[0.0]),
        tensor::doubles(&names.of("one"), &[], &[1.0]),
        tensor::doubles(&names.of("width"), &[], &[columns as f64]),
        tensor::doubles(&names.of("infinity"), &[], &[f64::INFINITY]),
    ]);
    // Kept in 32 bits in the file, used in 64.
    for name in ["donors", "donors_turned", "present"] {
        let to_double = attribute::int("to", Element::Double as i64);
        graph.add(
            "Cast",
            &[&names.of(&format!("{name}_single"))],
            &names.of(name),
            &[to_double],
        );
    }
}

/// Fills one row that has a gap, in the steps of [`KnnImputer`].
fn fill_branch(names: &Names<'_>, imputer: &KnnImputer) -> Graph {
    let mut graph = Graph::default();
    let mut step = |operator: &str, inputs: &[&str], output: &str, attributes: &[_]| {
        let inputs: Vec<String> = inputs.iter().map(|name| names.of(name)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        graph.add(operator, &inputs, &names.of(output), attributes);
    };
    let to_double = || [attribute::int("to", Element::Double as i64)];
    let drop_axis = || [attribute::int("keepdims", 0)];

    // Distance of the row to each donor.
    step("Not", &["gap"], "there", &[]);
    step("Cast", &["there"], "there_double", &to_double());
    step("Cast", &["row"], "row_double", &to_double());
    step("Where", &["gap", "zero", "row_double"], "row_known", &[]);
    step("Sub", &["row_known", "donors"], "differences", &[]);
    step("Mul", &["present", "there_double"], "shared", &[]);
    step("Mul", &["differences", "differences"], "squares", &[]);
    step("Mul", &["squares", "shared"], "shared_squares", &[]);
    step(
        "ReduceSum",
        &["shared_squares", "axis_1"],
        "square_sums",
        &drop_axis(),
    );
    step("ReduceSum", &["shared", "axis_1"], "shared_counts", &drop_axis());
    step("Mul", &["square_sums", "width"], "scaled_sums", &[]);
    step("Div", &["scaled_sums", "shared_counts"], "means_of_squares", &[]);
    step("Equal", &["shared_counts", "zero"], "nothing_shared", &[]);
    step(
        "Where",
        &["nothing_shared", "infinity", "means_of_squares"],
        "distances",
        &[],
    );

    // The nearest donors of each column, among those that have it.
    step("Unsqueeze", &["distances", "axis_0"], "distance_row", &[]);
    step(
        "Where",
        &["present_turned", "distance_row", "infinity"],
        "distances_by_column",
        &[],
    );
    let nearest_first = [
        attribute::int("axis", 1),
        attribute::int("largest", 0),
        attribute::int("sorted", 1),
    ];
    let inputs = ["distances_by_column", "nearest"].map(|name| names.of(name));
    let outputs = ["nearest_distances", "nearest_donors"].map(|name| names.of(name));
    let top = super::encoder::node(
        "TopK",
        "",
        &inputs.each_ref().map(String::as_str),
        &outputs.each_ref().map(String::as_str),
        &nearest_first,
    );
    graph.nodes.push(top);
    let mut step = |operator: &str, inputs: &[&str], output: &str, attributes: &[_]| {
        let inputs: Vec<String> = inputs.iter().map(|name| names.of(name)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        graph.add(operator, &inputs, &names.of(output), attributes);
    };
    step(
        "GatherElements",
        &["donors_turned", "nearest_donors"],
        "nearest_values",
        &[attribute::int("axis", 1)],
    );

    // Their weighted mean.
    step("Less", &["nearest_distances", "infinity"], "is_neighbor", &[]);
    step("Cast", &["is_neighbor"], "even_weights", &to_double());
    let weights = match imputer.weights {
        NeighborWeights::Uniform => "even_weights",
        NeighborWeights::Distance => {
            step("Sqrt", &["nearest_distances"], "roots", &[]);
            step("Div", &["one", "roots"], "inverse", &[]);
            step("Equal", &["nearest_distances", "zero"], "touching", &[]);
            step("Cast", &["touching"], "touching_weights", &to_double());
            let keep_axis = [attribute::int("keepdims", 1), attribute::ints("axes", &[1])];
            step("ReduceMax", &["touching_weights"], "any_touching", &keep_axis);
            step("Greater", &["any_touching", "zero"], "is_touched", &[]);
            step(
                "Where",
                &["is_touched", "touching_weights", "inverse"],
                "distance_weights",
                &[],
            );
            "distance_weights"
        }
    };
    step("Mul", &[weights, "nearest_values"], "weighted", &[]);
    step("ReduceSum", &["weighted", "axis_1"], "weighted_sum", &drop_axis());
    step("ReduceSum", &[weights, "axis_1"], "weight_sum", &drop_axis());
    step("Div", &["weighted_sum", "weight_sum"], "average", &[]);
    step("Equal", &["weight_sum", "zero"], "no_neighbor", &[]);
    step("Where", &["no_neighbor", "means", "average"], "estimate", &[]);
    step(
        "Cast",
        &["estimate"],
        "estimate_single",
        &[attribute::int("to", Element::Float as i64)],
    );
    step("Where", &["gap", "estimate_single", "row"], "filled_row", &[]);
    graph.outputs.push(value(
        &names.of("filled_row"),
        Element::Float,
        &[imputer.columns.len() as i64],
    ));
    graph
}
