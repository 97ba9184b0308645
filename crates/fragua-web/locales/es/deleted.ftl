deleted-title = Todo lo borrado
deleted-lead = Aquí esperan los experimentos, ejecuciones y modelos guardados que se borraron. Restáuralos, o elimínalos del todo con sus archivos.
deleted-age = Cuánto hace que se borró
deleted-ever = Cuando sea
deleted-week = Más de 7 días
deleted-month = Más de 30 días
deleted-quarter = Más de 90 días
deleted-when = Borrado
deleted-in = En el experimento
deleted-holds = Contiene
deleted-none = Nada borrado
deleted-none-advice = Lo que se borra en las listas espera aquí hasta que se restaura o se elimina del todo.
deleted-nothing = Nada
deleted-restore-selected = Restaurar lo seleccionado
deleted-purge-selected = Eliminar del todo lo seleccionado…
deleted-purge-all = Vaciar todo…
deleted-select = Seleccionar { $name }
deleted-select-all = Seleccionar toda esta lista
deleted-select-first = Primero selecciona algo: marca lo que quieras.
deleted-gone = Eliminado del todo
deleted-kept = Lo que se queda
deleted-kept-lead = Está marcado como borrado y no se elimina del todo, por el motivo indicado.
deleted-why = Motivo
purging-title = Eliminando del todo
purging = Se han eliminado { $done } de { $total }. Sigue aunque salgas de esta página.
purging-failed = La eliminación se detuvo antes de terminar
purging-failed-advice = Lo eliminado ya no está; el resto sigue en la lista. Elimínalo otra vez para continuar.
purge-title = Eliminar del todo
purge-lead = Todavía no se ha eliminado nada. Esto es lo que se iría, y no se puede recuperar.
purge-goes = Lo que se va
purge-files = Con sus archivos
purge-confirm = Eliminar del todo: { $things }
purge-changed = Lo borrado ha cambiado desde que lo miraste
purge-changed-advice = Mientras tanto se borró o se restauró algo, así que no se ha hecho nada. Míralo otra vez.
purge-empty = Nada de esto se puede eliminar del todo
purge-empty-advice = Cada cosa se queda por el motivo de abajo, o ya no está borrada.
experiment = Experimento
kept-registered = la versión { $version } del modelo registrado { $name } está hecha de ello
kept-default = es el experimento por defecto, que siempre existe
kept-not-empty = algo de lo que contiene se queda
kept-not-deleted = no está borrado
kept-deleted-too-recently = no se borró hace tanto
kept-not-found = no existe
kept-restored = se restauró o desapareció mientras tanto
kept-files-shared = sus archivos se quedan: { $uri } no es un lugar propio
kept-files-elsewhere = sus archivos se quedan: { $uri } no está en este almacén de objetos
count-logged-models = { $count ->
    [one] { $number } modelo guardado
   *[other] { $number } modelos guardados
  }
count-files = { $count ->
    [one] { $number } archivo
   *[other] { $number } archivos
  }
