filter-unexpected = Nothing can go on with { $found } here.
filter-not-a-number = { $found } is not a number.
filter-open-quote = A closing { $found } is missing.
filter-expected-key = A key is missing, such as metrics.accuracy.
filter-expected-name = A name is missing after the dot.
filter-expected-operator = An operator is missing: =, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN, IS NULL or IS NOT NULL.
filter-expected-null = NULL or NOT NULL is missing after IS.
filter-expected-value = A number or a text in quotes is missing.
filter-expected-list = A list is missing, such as ('a', 'b').
filter-expected-rest-of-list = A comma or a closing parenthesis is missing.
filter-expected-and = Join conditions with AND. OR, parentheses and functions are not offered.
filter-too-long = The filter is longer than { $most } bytes.
filter-too-many = The filter has more than { $most } conditions.
filter-entity = There are no { $name } to filter by. Use { $offered }.
filter-attribute = There is no attribute { $name }. Use { $offered }.
filter-dataset-key = Data sets have no { $name }. Use { $offered }.
filter-null-test = { $key } cannot be compared with NULL. Only tags and parameters of runs and tags of experiments can.
filter-list-of-attribute = This takes one value and not a list. Only { $offered } can be compared with a list.
filter-list-of = This takes one value and not a list. Use = or != instead of IN.
filter-comparator = { $operator } cannot be used here. Use { $offered }.
filter-metric-value = Metrics are numbers, and { $found } is a text. Write the number without quotes.
filter-numeric-value = { $key } is a number, and { $found } is a text. Write the number without quotes.
filter-whole-number = { $key } is a whole number, and { $found } is not.
filter-model-status = No logged model has the status { $name }. Use PENDING, READY or UPLOAD_FAILED.
filter-quoted-value = A text in quotes has to stand here, such as 'my-value', and not { $found }.
