#ifndef CLI_FOLDER_H
#define CLI_FOLDER_H

/* Remove a directory with all that is in it, links as they are; a file likewise. */
void folder_remove(const char *path);

#endif
