filter-unexpected = Aquí no puede seguir { $found }.
filter-not-a-number = { $found } no es un número.
filter-open-quote = Falta cerrar con { $found }.
filter-expected-key = Falta una clave, como metrics.accuracy.
filter-expected-name = Falta un nombre después del punto.
filter-expected-operator = Falta un operador: =, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN, IS NULL o IS NOT NULL.
filter-expected-null = Falta NULL o NOT NULL después de IS.
filter-expected-value = Falta un número o un texto entre comillas.
filter-expected-list = Falta una lista, como ('a', 'b').
filter-expected-rest-of-list = Falta una coma o cerrar el paréntesis.
filter-expected-and = Une las condiciones con AND. No hay OR, paréntesis ni funciones.
filter-too-long = El filtro tiene más de { $most } bytes.
filter-too-many = El filtro tiene más de { $most } condiciones.
filter-entity = No se puede filtrar por { $name }. Usa { $offered }.
filter-attribute = No existe el atributo { $name }. Usa { $offered }.
filter-dataset-key = Los conjuntos de datos no tienen { $name }. Usa { $offered }.
filter-null-test = { $key } no se puede comparar con NULL. Solo se puede con etiquetas y parámetros de ejecuciones y con etiquetas de experimentos.
filter-list-of-attribute = Aquí va un solo valor y no una lista. Solo { $offered } se puede comparar con una lista.
filter-list-of = Aquí va un solo valor y no una lista. Usa = o != en lugar de IN.
filter-comparator = Aquí no se puede usar { $operator }. Usa { $offered }.
filter-metric-value = Las métricas son números y { $found } es un texto. Escribe el número sin comillas.
filter-numeric-value = { $key } es un número y { $found } es un texto. Escribe el número sin comillas.
filter-whole-number = { $key } es un número entero y { $found } no lo es.
filter-model-status = Ningún modelo guardado tiene el estado { $name }. Usa PENDING, READY o UPLOAD_FAILED.
filter-quoted-value = Aquí va un texto entre comillas, como 'my-value', y no { $found }.
