deleted-title = Everything deleted
deleted-lead = Experiments, runs and logged models that were deleted wait here. Restore them, or delete them for good with their files.
deleted-age = Deleted how long ago
deleted-ever = Any time
deleted-week = Over 7 days
deleted-month = Over 30 days
deleted-quarter = Over 90 days
deleted-when = Deleted
deleted-in = In experiment
deleted-holds = Holds
deleted-none = Nothing deleted
deleted-none-advice = What is deleted in the lists waits here until it is restored or deleted for good.
deleted-nothing = Nothing
deleted-restore-selected = Restore selected
deleted-purge-selected = Delete selected for good…
deleted-purge-all = Delete all for good…
deleted-select = Select { $name }
deleted-select-all = Select all of this list
deleted-select-first = Select something first: tick what you mean.
deleted-gone = Deleted for good
deleted-kept = What stays
deleted-kept-lead = This is marked deleted and is not deleted for good, for the reason given.
deleted-why = Why
purging-title = Deleting for good
purging = { $done } of { $total } are gone. It goes on when you leave this page.
purging-failed = Deleting for good ended early
purging-failed-advice = What is gone is gone; the rest is listed below. Delete it again to go on.
purge-title = Delete for good
purge-lead = Nothing has been deleted yet. This is what would go, and it cannot be brought back.
purge-goes = What goes
purge-files = With its files
purge-confirm = Delete for good: { $things }
purge-changed = What is deleted has changed since you looked
purge-changed-advice = Something was deleted or restored meanwhile, so nothing was done. Look again.
purge-empty = Nothing of this can be deleted for good
purge-empty-advice = Each of them stays for the reason below, or is not deleted any more.
experiment = Experiment
kept-registered = version { $version } of the registered model { $name } is made of it
kept-default = it is the default experiment, which always exists
kept-not-empty = something in it stays
kept-not-deleted = it is not deleted
kept-deleted-too-recently = it was not deleted that long ago
kept-not-found = it is not there
kept-restored = it was restored or is gone meanwhile
kept-files-shared = its files stay: { $uri } is not a place of its own
kept-files-elsewhere = its files stay: { $uri } is not in this object store
count-logged-models = { $count ->
    [one] { $number } logged model
   *[other] { $number } logged models
  }
count-files = { $count ->
    [one] { $number } file
   *[other] { $number } files
  }
