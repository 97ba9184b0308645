compare-runs = { $count ->
    [one] Compare { $number } run
   *[other] Compare { $number } runs
  }
compare-cut = Only the first hundred runs are compared.
compare-missing = { $count ->
    [one] { $number } of the runs does not exist any more.
   *[other] { $number } of the runs do not exist any more.
  }
compare-without = Compare without { $name }
compare-none = Nothing to compare
compare-none-advice = Select two or more runs in the table of an experiment, then press Compare.
compare-table = Figures
compare-parallel = Parallel coordinates
compare-scatter = Scatter
compare-rows = Which rows
compare-rows-all = All rows
compare-rows-different = Differences
compare-legend = Green is the best value. Marked cells differ from most runs.
compare-same = { $count ->
    [one] { $number } row is the same in all runs and hidden.
   *[other] { $number } rows are the same in all runs and hidden.
  }
best-of-runs = Best of these runs
x-axis = X axis
y-axis = Y axis
axes = Axes
smoothing-word = Smoothing
smooth-none = None
smooth-weight = { $weight }
log-scale = Log scale
range-from = From step
range-to = to
all-steps = All steps
curve-one-point = No run has two values of this metric to draw a line between.
colour-by = Colour by
colour-none = Nothing
brush-advice = Drag along an axis to keep only the runs that pass through. With the keyboard: go to an axis with Tab, then move the lower end with the arrows, the upper end with Shift and the arrows.
brush-count = { $number } runs pass
brush-clear = Clear ranges
scatter-lacking = { $count ->
    [one] { $number } run lacks one of the two and is not drawn.
   *[other] { $number } runs lack one of the two and are not drawn.
  }
