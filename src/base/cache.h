#ifndef CLORA_BASE_CACHE_H
#define CLORA_BASE_CACHE_H

/* Where clora keeps what it may lose: $CLORA_CACHE_DIR, $XDG_CACHE_HOME/clora, ~/.cache/clora. NULL when none of the
 * variables is set. The caller frees. */
char *cache_directory(void);

#endif
