#include HEADER

int main() { return 0; }
