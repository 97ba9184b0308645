attributes = Attributes
ended = Ended
run-source = Source
any-state = Any state
since-ever = Started any time
since-hour = Last hour
since-day = Last 24 hours
since-week = Last 7 days
since-month = Last 30 days
lifecycle = Active or deleted
lifecycle-active = Active
lifecycle-deleted = Deleted
show-flat = All runs side by side
show-tree = Children below parents
columns-search = Search columns
columns-all = All
filter-choices = How the filter can go on
runs-none-deleted = No deleted run
runs-none-deleted-advice = Runs that were deleted wait here until they are restored or purged.
runs-only-children = Only child runs
runs-only-children-advice = The parents of these runs are deleted or in another experiment.
runs-select = Select runs to compare or change them
runs-selected = { $number } selected
select-all = Select all that are loaded
selection-clear = Clear selection
compare-runs-chosen = Compare
rename-run = Rename the run
set-tag-title = Set a tag on the selected runs
delete-runs-title = Delete the selected runs?
delete-runs-advice = They go to the deleted runs, with everything they logged, and can be restored from there.
select-runs-first = select at least one run first
rename-one-run = one run at a time can be renamed: select exactly one
count-child-runs = { $count ->
    [one] { $number } child run
   *[other] { $number } child runs
  }
