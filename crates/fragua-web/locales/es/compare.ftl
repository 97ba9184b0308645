compare-runs = { $count ->
    [one] Comparar { $number } ejecución
   *[other] Comparar { $number } ejecuciones
  }
compare-cut = Solo se comparan las primeras cien ejecuciones.
compare-missing = { $count ->
    [one] { $number } de las ejecuciones ya no existe.
   *[other] { $number } de las ejecuciones ya no existen.
  }
compare-without = Comparar sin { $name }
compare-none = Nada que comparar
compare-none-advice = Selecciona dos o más ejecuciones en la tabla de un experimento y pulsa Comparar.
compare-table = Cifras
compare-parallel = Coordenadas paralelas
compare-scatter = Dispersión
compare-rows = Qué filas
compare-rows-all = Todas las filas
compare-rows-different = Diferencias
compare-legend = En verde, el mejor valor. Las celdas marcadas difieren de la mayoría.
compare-same = { $count ->
    [one] { $number } fila es igual en todas las ejecuciones y no se muestra.
   *[other] { $number } filas son iguales en todas las ejecuciones y no se muestran.
  }
best-of-runs = El mejor de estas ejecuciones
x-axis = Eje X
y-axis = Eje Y
axes = Ejes
smoothing-word = Suavizado
smooth-none = Ninguno
smooth-weight = { $weight }
log-scale = Escala logarítmica
range-from = Desde el paso
range-to = hasta
all-steps = Todos los pasos
curve-one-point = Ninguna ejecución tiene dos valores de esta métrica entre los que trazar una línea.
colour-by = Color según
colour-none = Nada
brush-advice = Arrastra a lo largo de un eje para quedarte con las ejecuciones que pasan por ahí. Con el teclado: ve a un eje con Tab; las flechas mueven el extremo inferior y, con Mayús, el superior.
brush-count = pasan { $number } ejecuciones
brush-clear = Quitar los rangos
scatter-lacking = { $count ->
    [one] A { $number } ejecución le falta uno de los dos y no se dibuja.
   *[other] A { $number } ejecuciones les falta uno de los dos y no se dibujan.
  }
